"""Ethereum JSON-RPC 2.0 as a pure function from a request to an answer: `dispatch.answer`."""
