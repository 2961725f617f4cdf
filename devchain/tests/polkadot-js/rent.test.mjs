// Reads and rents on a development chain as wallets and explorers do: by @polkadot/api, with nothing told to it about
// the chain's types.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { ApiPromise, Keyring, WsProvider } from "@polkadot/api";

const BINARY = process.env.NEARLIGHT_DEVCHAIN;
assert.ok(BINARY, "NEARLIGHT_DEVCHAIN names the program");

const DBC = 10n ** 15n;
/** Thousands of blocks are one answer, and a busy machine takes more for them than the minute that the client gives it. */
const PATIENCE_MS = 600_000;

/** Starts a chain; yields what its first line says, a client, and the end of both. */
async function start(...args) {
  const child = spawn(BINARY, ["--listen", "127.0.0.1:0", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(createInterface(child.stdout), "line");
  const first = JSON.parse(line);
  const provider = new WsProvider(first.url, undefined, undefined, PATIENCE_MS);
  const api = await ApiPromise.create({ provider, noInitWarn: true });
  const stop = async () => {
    await api.disconnect();
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    assert.equal(code, 0, "it ends cleanly");
  };
  return { ...first, api, provider, stop };
}

/** Sends a call and waits until it is final; yields its events, or throws the error's name. */
function send(api, signer, call) {
  return new Promise((resolve, reject) => {
    call
      .signAndSend(signer, ({ status, events, dispatchError }) => {
        if (!status.isFinalized) return;
        if (dispatchError?.isModule) {
          const { section, name } = api.registry.findMetaError(dispatchError.asModule);
          reject(new Error(`${section}.${name}`));
        } else if (dispatchError) reject(new Error(dispatchError.toString()));
        else resolve(events.map(({ event }) => event));
      })
      .catch(reject);
  });
}

for (const shape of ["411", "400"]) {
  describe(`runtime ${shape}`, () => {
    let chain;
    const keys = new Keyring({ type: "sr25519" });
    const alice = keys.addFromUri("//Alice");
    const bob = keys.addFromUri("//Bob");
    const charlie = keys.addFromUri("//Charlie");

    before(async () => (chain = await start("--shape", shape)));
    after(() => chain?.stop());

    test("says what it is", () => {
      const { api } = chain;
      assert.equal(api.genesisHash.toHex(), chain.genesis);
      assert.equal(api.runtimeVersion.specVersion.toString(), shape);
      assert.equal(api.runtimeMetadata.version, 14);
      assert.equal(api.registry.chainDecimals[0], 15);
      assert.equal(api.registry.chainTokens[0], "DBC");
      assert.deepEqual(api.registry.signedExtensions, [
        "CheckNonZeroSender",
        "CheckSpecVersion",
        "CheckTxVersion",
        "CheckGenesis",
        "CheckMortality",
        "CheckNonce",
        "CheckWeight",
        "ChargeAssetTxPayment",
      ]);
      const newer = shape === "411";
      assert.equal("setRentReceiver" in api.tx.onlineProfile, newer);
      assert.equal("machineExtraPrice" in api.query.onlineProfile, newer);
      assert.equal("rentOrderReceiver" in api.query.rentMachine, newer);
      assert.equal("OutOfRentalSchedule" in api.errors.rentMachine, newer);
    });

    test("reads a machine and money", async () => {
      const { api, machine } = chain;
      const info = (await api.query.onlineProfile.machinesInfo(machine)).unwrap();
      assert.equal(info.machineStatus.toString(), "Online");
      assert.equal(info.controller.toString(), charlie.address);
      assert.equal(info.machineInfoDetail.committeeUploadInfo.gpuNum.toNumber(), 4);
      const { data } = await api.query.system.account(bob.address);
      assert.equal(data.free.toBigInt(), 1_000_000n * DBC);
    });

    test("rents, confirms and prolongs, and the order ends without a word", async () => {
      const { api, machine, provider } = chain;
      const quoted = await api.tx.rentMachine.rentMachine(machine, 1, 300).paymentInfo(alice);
      assert.ok(quoted.partialFee.toBigInt() > 0n);
      const rented = await send(api, alice, api.tx.rentMachine.rentMachine(machine, 1, 300));
      const [id, renter, of, cards, blocks, fee] = rented.find(({ method }) => method === "Rent").data;
      assert.equal(renter.toString(), alice.address);
      assert.equal(of.toUtf8(), machine);
      assert.deepEqual([cards.toNumber(), blocks.toNumber()], [1, 300]);
      assert.equal(fee.toBigInt(), 5_017n * DBC / 1_000n);
      const paid = rented.find(({ method }) => method === "TransactionFeePaid").data.actualFee.toBigInt();
      assert.equal(paid, quoted.partialFee.toBigInt());
      await assert.rejects(send(api, bob, api.tx.rentMachine.confirmRent(id)), /rentMachine.NoOrderExist/);
      await send(api, alice, api.tx.rentMachine.confirmRent(id));
      await send(api, alice, api.tx.rentMachine.reletMachine(id, 100));
      const order = (await api.query.rentMachine.rentInfo(id)).unwrap();
      assert.equal(order.rentStatus.toString(), "Renting");
      const left = order.rentEnd.toNumber() - (await api.rpc.chain.getHeader()).number.toNumber();
      await provider.send("dev_newBlocks", [left - 1]);
      assert.ok((await api.query.rentMachine.rentInfo(id)).isSome);
      await provider.send("dev_newBlocks", [1]);
      assert.ok((await api.query.rentMachine.rentInfo(id)).isNone);
    });

    test("tells new heads and changed storage", async () => {
      const { api, provider } = chain;
      const heads = [];
      const stop = await api.rpc.chain.subscribeNewHeads((head) => heads.push(head.number.toNumber()));
      let free = null;
      const stopWatching = await api.query.system.account(bob.address, ({ data }) => (free = data.free.toBigInt()));
      const until = async (done) => {
        while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
      };
      await until(() => free !== null);
      const earlier = free;
      await send(api, alice, api.tx.balances.transferKeepAlive(bob.address, DBC));
      await provider.send("dev_newBlocks", [2]);
      await until(() => free !== earlier && heads.length >= 4);
      assert.equal(free - earlier, DBC);
      assert.deepEqual(heads, heads.map((_, index) => heads[0] + index));
      stop();
      stopWatching();
    });

    test("tells heads that never go back, however fast they come", async () => {
      const { provider } = chain;
      const heads = [];
      const told = (_, head) => heads.push(Number(head.number));
      const id = await provider.subscribe("chain_newHead", "chain_subscribeNewHeads", [], told);
      const { number } = await provider.send("dev_newBlocks", [3_000]);
      while (heads.at(-1) !== number) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.ok(heads.every((head, index) => index === 0 || head > heads[index - 1]));
      await provider.unsubscribe("chain_newHead", "chain_unsubscribeNewHeads", id);
    });

    test("refuses a machine that is not there, by name", async () => {
      const { api } = chain;
      const call = api.tx.rentMachine.rentMachine("0".repeat(64), 1, 300);
      await assert.rejects(send(api, alice, call), /rentMachine.Unknown/);
    });
  });
}
