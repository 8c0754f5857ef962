#!/usr/bin/env bash
# A federation's life through Foundry's cast: cast.sh FEDERATION.json CAST PYTHON prints what it saw as JSON.
set -euo pipefail
document=$1 cast=$2 python=$3
export FOUNDRY_DISABLE_NIGHTLY_WARNING=1

field() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$document" "$1"; }
json() { "$python" -c 'import json, sys; value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if isinstance(value, list) else key]
print(json.dumps(value) if isinstance(value, (dict, list)) else value)' "$@"; }
saw() { printf '%s\t%s\n' "$1" "$2" >>"$seen"; }

seen=$(mktemp)
trap 'rm -f "$seen"' EXIT
ETH_RPC_URL=$(field url)
export ETH_RPC_URL
words=$(field mnemonic)
key() { "$cast" wallet private-key "$words" "$1"; }
owner=$(key 0)
declare -A keys
for index in 1 2 3 4; do
    secret=$(key $index)
    keys[$("$cast" wallet address "$secret")]=$secret
done
hash() { "$cast" keccak "$1"; }

# Deploy from the artifact.
mapfile -t arguments < <("$python" -c 'import json, sys
document = json.load(open(sys.argv[1]))
inputs = next(entry for entry in document["abi"] if entry["type"] == "constructor")["inputs"]
types = ",".join(entry["type"] for entry in inputs)
print(f"constructor({types})")
for value in document["constructor"]:
    print("[" + ",".join(map(str, value)) + "]" if isinstance(value, list) else json.dumps(value).strip(chr(34)))' "$document")
deployment=$("$cast" send --private-key "$owner" --json --create "$(field bytecode)" "${arguments[@]}")
contract=$(json contractAddress <<<"$deployment")
from=$(json blockNumber <<<"$deployment")
saw deployed "$(json status <<<"$deployment")"
saw chain "$("$cast" chain-id)"
saw code "$("$cast" code "$contract" | wc -c)"

# Read. A call is judged by the newest block, and the window begins with the next.
saw phase "$("$cast" call "$contract" 'state()(uint256,uint256)' | tail -1)"
"$cast" rpc evm_mine >/dev/null
turn() { "$cast" call "$contract" 'relayer()(address)'; }
sealing=$(turn)
for address in "${!keys[@]}"; do [[ $address == "$sealing" ]] || other=$address; done

# A refusal comes with its reason.
seal='seal(uint256,bytes32,uint256)'
saw refused "$("$cast" call --from "$sealing" "$contract" "$seal" 1 "$(hash root)" 1 2>&1 >/dev/null | tr '\n' ' ' || true)"
saw estimate_refused "$("$cast" estimate --from "$sealing" "$contract" "$seal" 1 "$(hash root)" 1 2>&1 >/dev/null |
    tr '\n' ' ' || true)"

# Fees and gas.
saw gas_price "$("$cast" gas-price)"
saw base_fee "$("$cast" base-fee)"
saw rewards "$("$cast" rpc eth_feeHistory 0x2 latest '[50]' | json reward)"
saw estimate "$("$cast" estimate --from "$sealing" "$contract" "$seal" 1 "$(hash root)" 3)"

# Seal (type 2), force (type 0), scores (type 1), certify.
send() { "$cast" send --json --private-key "${keys[$1]}" "${@:2}"; }
sealed=$(send "$sealing" "$contract" "$seal" 1 "$(hash root)" 3)
forced=$(send "$other" --legacy "$contract" 'force(uint256,bytes32)' 1 "$(hash leaf)")
"$cast" rpc anvil_mine 0x6 >/dev/null
scored=$(send "$(turn)" "$contract" 'scores(uint256,bytes32)' 1 "$(hash scores)" --access-list)
outcome=("$(hash manifest)" "$(hash 'new model')" "$(hash 'new reputations')")
transcript=$("$cast" call "$contract" 'transcript()(bytes32)')
after=$("$cast" keccak "$("$cast" abi-encode 'f(bytes32,uint256,uint256,bytes32,bytes32,bytes32)' \
    "$transcript" 4 1 "${outcome[@]}")")
typed=$("$python" -c 'import json, sys
contract, after = sys.argv[1:]
names = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
print(json.dumps({
    "types": {
        "EIP712Domain": [{"name": n, "type": t} for n, t in names.items()],
        "Certificate": [{"name": "round", "type": "uint32"}, {"name": "transcript", "type": "bytes32"}],
    },
    "primaryType": "Certificate",
    "domain": {"name": "ledgerfed", "version": "1", "chainId": 31337, "verifyingContract": contract},
    "message": {"round": 1, "transcript": after},
}))' "$contract" "$after")
signatures=0x
for index in 1 2 3; do
    signature=$("$cast" wallet sign --private-key "$(key $index)" --data "$typed")
    signatures+=${signature#0x}
done
certified=$("$cast" send --json --private-key "$owner" "$contract" \
    'certify(uint256,bytes32,bytes32,bytes32,bytes)' 1 "${outcome[@]}" "$signatures")
for name in sealed forced scored certified; do
    saw "$name" "$(json status <<<"${!name}") $(json type <<<"${!name}")"
done
saw transcript "$([[ $("$cast" call "$contract" 'transcript()(bytes32)') == "$after" ]] && echo equal)"
saw round "$("$cast" call "$contract" 'state()(uint256)')"

# A transaction that fails in its block.
failed=$(send "$sealing" --gas-limit 200000 "$contract" "$seal" 1 "$(hash root)" 3 || true)
saw failed "$(json status <<<"$failed")"

# Logs, receipt, transaction, block, storage, proof, balance and nonce.
sealing_hash=$(json transactionHash <<<"$sealed")
saw logs "$("$cast" logs --json --from-block "$from" --address "$contract" | "$python" -c 'import json, sys
print(len(json.load(sys.stdin)))')"
saw sealed_logs "$("$cast" logs --json --from-block "$from" --address "$contract" \
    'Sealed(uint256 indexed,bytes32,uint256,address,bytes32)' 1 | "$python" -c 'import json, sys
print(len(json.load(sys.stdin)))')"
saw receipt "$([[ $("$cast" receipt --json "$sealing_hash" | json blockHash) == "$(json blockHash <<<"$sealed")" ]] &&
    echo equal)"
saw transaction "$("$cast" tx --json "$sealing_hash" | json type)"
saw in_block "$("$cast" block --json --full "$(json blockNumber <<<"$sealed")" | json transactions 0 hash | grep -c "$sealing_hash")"
saw storage "$([[ $("$cast" storage "$contract" 1) == "$after" ]] && echo equal)"
saw proof "$([[ $("$cast" proof "$contract" 1 | json storageProof 0 value) == "$after" ]] && echo equal)"
saw past_phase "$("$cast" call --block "$((from))" "$contract" 'state()(uint256,uint256)' | tail -1)"
saw nonce "$("$cast" nonce "$("$cast" wallet address "$owner")")"
saw spent "$("$cast" balance --ether "$("$cast" wallet address "$owner")")"
saw age "$("$cast" age "$from" >/dev/null && echo known)"
saw client "$("$cast" client)"

"$python" -c 'import json, sys
print(json.dumps(dict(line.rstrip("\n").split("\t", 1) for line in open(sys.argv[1]))))' "$seen"
