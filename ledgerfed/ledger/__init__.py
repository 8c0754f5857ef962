"""Adapter to the chain: the compiled contract, keys, the outbox and the web3 gateway (imported lazily)."""
