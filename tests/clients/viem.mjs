// A federation's life through viem: node viem.mjs FEDERATION.json prints what it saw as one JSON document.
import { readFileSync } from "node:fs";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createTestClient,
  createWalletClient,
  defineChain,
  encodeAbiParameters,
  hashTypedData,
  http,
  keccak256,
  parseEventLogs,
  toHex,
  webSocket,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";

const { url, socket, mnemonic, abi, bytecode, constructor } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const chain = defineChain({
  id: 31337,
  name: "test",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [url] } },
});
const chainOptions = { chain, transport: http(url, { batch: true }), pollingInterval: 20, cacheTime: 0 };
const reader = createPublicClient(chainOptions);
const tests = createTestClient({ ...chainOptions, mode: "anvil" });
const [owner, ...nodes] = [0, 1, 2, 3, 4].map((addressIndex) => mnemonicToAccount(mnemonic, { addressIndex }));
const word = (text) => keccak256(toHex(text));
const saw = {};

async function sent(hash) {
  const receipt = await reader.waitForTransactionReceipt({ hash, timeout: 20_000 });
  return { receipt, events: parseEventLogs({ abi, logs: receipt.logs }) };
}

// Deploy from the artifact.
const deployment = await sent(
  await createWalletClient({ ...chainOptions, account: owner }).deployContract({ abi, bytecode, args: constructor }),
);
const address = deployment.receipt.contractAddress;
const contract = { address, abi };
const read = (functionName, args = []) => reader.readContract({ ...contract, functionName, args });
const write = (account, functionName, args, options = {}) =>
  createWalletClient({ ...chainOptions, account }).writeContract({ ...contract, functionName, args, ...options });
saw.deployment = { status: deployment.receipt.status, events: deployment.events.map((event) => event.eventName) };

// Read.
const opened = await read("state");
saw.state = { round: Number(opened.round), phase: Number(opened.phase), end: Number(opened.end) };
saw.codeLength = (await reader.getCode({ address })).length;
saw.chainId = await reader.getChainId();
const whoseTurn = async () => {
  const relayer = (await read("relayer")).toLowerCase();
  return nodes.find((node) => node.address.toLowerCase() === relayer);
};
const sealing = await whoseTurn();
const other = nodes.find((node) => node !== sealing);

// Watch, by a filter over HTTP and by a subscription over a websocket.
const watched = { filter: [], socket: [], heads: [] };
const listener = createPublicClient({ chain, transport: webSocket(socket) });
const errors = [];
const onError = (error) => errors.push(error.message);
const stops = [
  reader.watchContractEvent({ ...contract, onError, onLogs: (logs) => watched.filter.push(...logs) }),
  listener.watchContractEvent({ ...contract, onError, onLogs: (logs) => watched.socket.push(...logs) }),
];
const heads = await listener.transport.subscribe({
  params: ["newHeads"],
  onData: ({ result }) => watched.heads.push(Number(result.number)),
  onError,
});
await listener.getBlockNumber();
await new Promise((resolve) => setTimeout(resolve, 100));

// A refusal comes with its reason, when it is called and when it is estimated.
async function refusal(attempt) {
  try {
    await attempt();
    return null;
  } catch (error) {
    const reverted = error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError);
    return reverted ? reverted.reason : error.message;
  }
}
await tests.mine({ blocks: 1 }); // a call is judged by the newest block, and the window begins with the next
const tooFew = { ...contract, functionName: "seal", args: [1n, word("root"), 1n], account: sealing };
saw.refusals = {
  simulated: await refusal(() => reader.simulateContract(tooFew)),
  estimated: await refusal(() => reader.estimateContractGas(tooFew)),
};

// Fees and gas.
const history = await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [25, 75] });
saw.feeHistory = {
  baseFees: history.baseFeePerGas.length,
  ratios: history.gasUsedRatio.length,
  rewards: history.reward.map((row) => row.length),
};
const fees = await reader.estimateFeesPerGas();
saw.feesAreOrdered = fees.maxFeePerGas >= fees.maxPriorityFeePerGas;
const sealArguments = [1n, word("root"), 3n];
const estimate = await reader.estimateContractGas({
  ...contract,
  functionName: "seal",
  args: sealArguments,
  account: sealing,
});

// Seal (type 2), force (type 0), scores (type 1).
const sealed = await sent(await write(sealing, "seal", sealArguments, { gas: estimate }));
const forced = await sent(await write(other, "force", [1n, word("leaf")], { type: "legacy" }));
await tests.mine({ blocks: 6 });
const accessList = [{ address, storageKeys: [toHex(0, { size: 32 })] }];
const scored = await sent(
  await write(await whoseTurn(), "scores", [1n, word("scores")], { accessList, type: "eip2930" }),
);

// Certify, with signatures of typed data; the contract agrees on the digest.
const outcome = ["manifest", "new model", "new reputations"].map(word);
const transcript = await read("transcript");
const after = keccak256(
  encodeAbiParameters(
    ["bytes32", "uint256", "uint256", "bytes32", "bytes32", "bytes32"].map((type) => ({ type })),
    [transcript, 4n, 1n, ...outcome],
  ),
);
const typed = {
  domain: { name: "ledgerfed", version: "1", chainId: 31337, verifyingContract: address },
  types: { Certificate: [{ name: "round", type: "uint32" }, { name: "transcript", type: "bytes32" }] },
  primaryType: "Certificate",
  message: { round: 1, transcript: after },
};
saw.digestsAgree = (await read("certificate_digest", [1n, after])) === hashTypedData(typed);
const signatures = await Promise.all(nodes.slice(0, 3).map((node) => node.signTypedData(typed)));
const joined = "0x" + signatures.map((signature) => signature.slice(2)).join("");
const certified = await sent(await write(other, "certify", [1n, ...outcome, joined]));
saw.receipts = Object.fromEntries(
  Object.entries({ sealed, forced, scored, certified }).map(([name, { receipt, events }]) => [
    name,
    { status: receipt.status, type: receipt.type, events: events.map((event) => event.eventName) },
  ]),
);
saw.transcriptAgrees = certified.events[0].args.transcript === (await read("transcript"));
saw.gasWasEnough = sealed.receipt.gasUsed <= estimate;
saw.round = Number((await read("state")).round);

// A transaction that fails in its block.
const failed = await sent(await write(sealing, "seal", sealArguments, { gas: 200_000n }));
saw.failed = { status: failed.receipt.status, logs: failed.receipt.logs.length };

// Logs by range, topic and block hash; the past by block number.
const range = { address, fromBlock: deployment.receipt.blockNumber, toBlock: "latest" };
const blockHash = sealed.receipt.blockHash;
saw.logs = {
  all: (await reader.getContractEvents({ ...contract, ...range })).map((log) => log.eventName),
  sealed: (await reader.getContractEvents({ ...contract, ...range, eventName: "Sealed", args: { round: 1n } })).length,
  otherRound: (await reader.getContractEvents({ ...contract, ...range, eventName: "Sealed", args: { round: 2n } }))
    .length,
  inBlock: (await reader.getContractEvents({ ...contract, blockHash })).map((log) => log.eventName),
};
const past = await reader.readContract({
  ...contract,
  functionName: "state",
  blockNumber: deployment.receipt.blockNumber,
});
saw.pastPhase = Number(past.phase);

// A block with its transactions, and a proof of the contract's storage.
const block = await reader.getBlock({ blockHash, includeTransactions: true });
const transaction = await reader.getTransaction({ hash: sealed.receipt.transactionHash });
saw.block = {
  holdsIt: block.transactions.some((entry) => entry.hash === transaction.hash && entry.from === transaction.from),
  type: transaction.type,
  input: transaction.input.slice(0, 10),
  confirmations: Number(await reader.getTransactionConfirmations({ hash: transaction.hash })),
};
const slot = toHex(1, { size: 32 });
const proof = await reader.getProof({ address, storageKeys: [slot] });
saw.proof = {
  value: toHex(proof.storageProof[0].value, { size: 32 }) === (await reader.getStorageAt({ address, slot })),
  transcript: toHex(proof.storageProof[0].value, { size: 32 }) === (await read("transcript")),
  nodes: proof.accountProof.length > 0 && proof.storageProof[0].proof.length > 0,
};
saw.nonce = await reader.getTransactionCount({ address: owner.address });

// What was told meanwhile.
const deadline = Date.now() + 10_000;
const told = () => watched.filter.length >= 4 && watched.socket.length >= 4 && watched.heads.length >= 10;
while (!told() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
saw.watched = {
  filter: watched.filter.map((log) => log.eventName),
  socket: watched.socket.map((log) => log.eventName),
  headsInOrder: watched.heads.every((number, index) => index === 0 || number === watched.heads[index - 1] + 1),
  errors,
};
stops.forEach((stop) => stop());
await heads.unsubscribe();
process.stdout.write(JSON.stringify(saw) + "\n", () => process.exit(0));
