// A federation's life through ethers: node ethers.mjs FEDERATION.json prints what it saw as one JSON document.
import { readFileSync } from "node:fs";
import {
  AbiCoder,
  Contract,
  ContractFactory,
  HDNodeWallet,
  JsonRpcProvider,
  Mnemonic,
  NonceManager,
  TypedDataEncoder,
  WebSocketProvider,
  concat,
  id as word,
  keccak256,
  toBeHex,
} from "ethers";

const { url, socket, mnemonic, abi, bytecode, constructor } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const reader = new JsonRpcProvider(url, undefined, { pollingInterval: 20, cacheTimeout: -1 });
const phrase = Mnemonic.fromPhrase(mnemonic);
const wallets = [0, 1, 2, 3, 4].map((i) => HDNodeWallet.fromMnemonic(phrase, `m/44'/60'/0'/0/${i}`).connect(reader));
const [owner, ...nodes] = wallets;
const saw = {};

// Deploy from the artifact, and read.
const deployed = await new ContractFactory(abi, bytecode, new NonceManager(owner)).deploy(...constructor);
const deployment = await deployed.deploymentTransaction().wait();
const address = await deployed.getAddress();
const contract = new Contract(address, abi, reader);
const events = (receipt) =>
  receipt.logs.map((log) => contract.interface.parseLog(log)?.name).filter((name) => name !== undefined);
const whoseTurn = async () => {
  const relayer = await contract.relayer();
  return nodes.find((node) => node.address === relayer);
};
saw.deployment = { status: deployment.status, type: deployment.type, events: events(deployment) };
const opened = await contract.state();
saw.state = { round: Number(opened.round), phase: Number(opened.phase), end: Number(opened.end) };
saw.network = Number((await reader.getNetwork()).chainId);

// Watch, by polling over HTTP and by a subscription over a websocket.
const watched = { polled: [], socket: [], heads: [] };
const listener = new WebSocketProvider(socket);
const listening = new Contract(address, abi, listener);
await contract.on("*", (event) => watched.polled.push(event.fragment.name));
await listening.on("*", (event) => watched.socket.push(event.fragment.name));
await listener.on("block", (number) => watched.heads.push(number));
await listener.getBlockNumber();
await new Promise((resolve) => setTimeout(resolve, 100));

// A refusal comes with its reason, when it is called and when it is estimated.
await reader.send("evm_mine", []); // a call is judged by the newest block, and the window begins with the next
const sealing = await whoseTurn();
const other = nodes.find((node) => node !== sealing);
async function refusal(attempt) {
  try {
    await attempt();
    return null;
  } catch (error) {
    return { code: error.code, reason: error.reason };
  }
}
const tooFew = [1, word("root"), 1];
saw.refusals = {
  called: await refusal(() => contract.connect(sealing).seal.staticCall(...tooFew)),
  estimated: await refusal(() => contract.connect(sealing).seal.estimateGas(...tooFew)),
};

// Fees and gas.
const fees = await reader.getFeeData();
saw.fees = fees.maxFeePerGas > fees.maxPriorityFeePerGas && fees.gasPrice > 0n;
const history = await reader.send("eth_feeHistory", ["0x2", "latest", [50]]);
saw.feeHistory = { baseFees: history.baseFeePerGas.length, rewards: history.reward.map((row) => row.length) };

// Seal (type 2), force (type 0), scores (type 1).
const estimate = await contract.connect(sealing).seal.estimateGas(1, word("root"), 3);
const sealed = await (await contract.connect(sealing).seal(1, word("root"), 3, { gasLimit: estimate })).wait();
const forced = await (await contract.connect(other).force(1, word("leaf"), { type: 0 })).wait();
await reader.send("anvil_mine", ["0x6"]);
const accessList = [{ address, storageKeys: [toBeHex(0, 32)] }];
const scorer = contract.connect(await whoseTurn());
const scored = await (await scorer.scores(1, word("scores"), { type: 1, accessList })).wait();

// Certify, with signatures of typed data; the contract agrees on the digest.
const outcome = ["manifest", "new model", "new reputations"].map(word);
const fields = ["bytes32", "uint256", "uint256", "bytes32", "bytes32", "bytes32"];
const transcript = await contract.transcript();
const after = keccak256(AbiCoder.defaultAbiCoder().encode(fields, [transcript, 4, 1, ...outcome]));
const domain = { name: "ledgerfed", version: "1", chainId: 31337, verifyingContract: address };
const types = { Certificate: [{ name: "round", type: "uint32" }, { name: "transcript", type: "bytes32" }] };
const message = { round: 1, transcript: after };
saw.digestsAgree =
  TypedDataEncoder.hash(domain, types, message) === (await contract.certificate_digest(1, after));
const signatures = await Promise.all(nodes.slice(0, 3).map((node) => node.signTypedData(domain, types, message)));
const certified = await (await contract.connect(owner).certify(1, ...outcome, concat(signatures))).wait();
saw.receipts = Object.fromEntries(
  Object.entries({ sealed, forced, scored, certified }).map(([name, receipt]) => [
    name,
    { status: receipt.status, type: receipt.type, events: events(receipt) },
  ]),
);
saw.transcriptAgrees = contract.interface.parseLog(certified.logs[0]).args.transcript === (await contract.transcript());
saw.round = Number((await contract.state()).round);

// A transaction that fails in its block is told with its receipt.
saw.failed = await refusal(async () => {
  const transaction = await contract.connect(sealing).seal(1, word("root"), 3, { gasLimit: 200_000 });
  await transaction.wait();
});

// Logs, a block with its transactions, a proof.
const from = deployment.blockNumber;
saw.logs = {
  all: (await contract.queryFilter("*", from)).map((log) => log.fragment.name),
  sealed: (await contract.queryFilter(contract.filters.Sealed(1), from)).length,
  otherRound: (await contract.queryFilter(contract.filters.Sealed(2), from)).length,
  inBlock: (await reader.getLogs({ address, blockHash: sealed.blockHash })).length,
};
const block = await reader.getBlock(sealed.blockHash, true);
const transaction = await reader.getTransaction(sealed.hash);
saw.block = {
  holdsIt: block.prefetchedTransactions.some((entry) => entry.hash === sealed.hash && entry.from === sealing.address),
  type: transaction.type,
  selector: transaction.data.slice(0, 10) === contract.interface.getFunction("seal").selector,
};
const slot = toBeHex(1, 32);
const proof = await reader.send("eth_getProof", [address, [slot], "latest"]);
saw.proof = toBeHex(proof.storageProof[0].value, 32) === (await reader.getStorage(address, slot));
saw.pastPhase = Number((await contract.state({ blockTag: deployment.blockNumber })).phase);

// What was told meanwhile.
const deadline = Date.now() + 10_000;
const told = () => watched.polled.length >= 4 && watched.socket.length >= 4 && watched.heads.length >= 8;
while (!told() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
saw.watched = {
  polled: watched.polled,
  socket: watched.socket,
  headsRise: watched.heads.length >= 8 && watched.heads.every((n, i) => i === 0 || n > watched.heads[i - 1]),
};
process.stdout.write(JSON.stringify(saw) + "\n", () => process.exit(0));
