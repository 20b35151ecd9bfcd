// What the JavaScript and browser suites share: a running server, a pool of one's own, a fetch that trusts the local authority.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import {
  AdminCreateUserCommand,
  AdminSetUserPasswordCommand,
  CognitoIdentityProviderClient,
  CreateUserPoolClientCommand,
  CreateUserPoolCommand,
  DeleteUserPoolCommand,
} from '@aws-sdk/client-cognito-identity-provider'
import { Agent, fetch as undiciFetch } from 'undici'

export const PASSWORD = 'Correct-horse-7'
export const OTHER_PASSWORD = 'Battery-staple-8'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The server that CENOTE_READY names, or a fresh one on the embedded database, with `options` on its command line.
 * Answers the ready file's values; `stop()` ends what was started.
 */
export async function attachOrStart(...options) {
  if (process.env.CENOTE_READY && options.length === 0) {
    return { ...readReady(process.env.CENOTE_READY), stop: async () => {} }
  }
  const scratch = mkdtempSync(join(tmpdir(), 'cenote-js.'))
  const readyFile = join(scratch, 'ready.json')
  const log = join(scratch, 'server.log')
  const ports = ['--port', await freePort(), '--tls-port', await freePort()]
  const binary = process.env.CENOTE_BIN ?? join(repository, 'target/debug/cenote')
  const output = createWriteStream(log)
  await once(output, 'open')
  const server = spawn(binary, ['dev', '--ephemeral', ...ports, '--ready-file', readyFile, ...options], {
    stdio: ['ignore', output, output],
  })
  const ended = once(server, 'exit')
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill('SIGTERM')
      const late = setTimeout(() => server.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(late)
    }
    rmSync(scratch, { recursive: true, force: true })
  }
  for (let tries = 0; tries < 300 && !existsSync(readyFile); tries++) {
    if (server.exitCode !== null) break
    await sleep(100)
  }
  if (!existsSync(readyFile)) {
    const said = readFileSync(log, 'utf8')
    await stop()
    throw new Error(`the server did not become ready: ${said}`)
  }
  return { ...readReady(readyFile), stop }
}

function readReady(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return String(port)
}

/** The AWS SDK as an administrator has it. No retries: the first answer is the one that is tested. */
export function administrator(ready) {
  return new CognitoIdentityProviderClient({
    endpoint: ready.endpoint,
    region: ready.region,
    credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'anything' },
    maxAttempts: 1,
  })
}

/** A pool of the test's own. */
export async function makePool(idp, settings = {}) {
  const { UserPool } = await idp.send(new CreateUserPoolCommand({ PoolName: unique('js'), ...settings }))
  return poolNamed(idp, UserPool.Id)
}

/** A pool that exists, with the verbs that the tests use. */
export function poolNamed(idp, UserPoolId) {
  return {
    id: UserPoolId,
    /** An app client that allows every flow a user can take; answers its id. */
    async app(settings = {}) {
      const { UserPoolClient } = await idp.send(
        new CreateUserPoolClientCommand({
          UserPoolId,
          ClientName: unique('app'),
          ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_USER_SRP_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'],
          ...settings,
        }),
      )
      return UserPoolClient.ClientId
    },
    /** A confirmed user; `permanent: false` makes one who must choose a password first. Answers the username. */
    async user({ username = unique('ann'), attributes = {}, permanent = true } = {}) {
      const UserAttributes = Object.entries(attributes).map(([Name, Value]) => ({ Name, Value }))
      const named = { UserPoolId, Username: username }
      await idp.send(
        new AdminCreateUserCommand({ ...named, UserAttributes, MessageAction: 'SUPPRESS', TemporaryPassword: PASSWORD }),
      )
      if (permanent) await idp.send(new AdminSetUserPasswordCommand({ ...named, Password: PASSWORD, Permanent: true }))
      return username
    },
    async delete() {
      await idp.send(new DeleteUserPoolCommand({ UserPoolId }))
    },
  }
}

let number = 0

/** A name that no other test uses, also not one in another process on the same server. */
export function unique(word) {
  number += 1
  return `${word}-${process.pid}-${number}`
}

/** fetch that trusts the server's own certificate authority, on top of the usual ones. */
export function trusting(ready) {
  const dispatcher = new Agent({ connect: { ca: readFileSync(ready.ca_file) } })
  return (url, options) => undiciFetch(url, { ...options, dispatcher })
}

/** What the server would have sent to this address, newest first. */
export async function outbox(ready, to) {
  const url = `${ready.endpoint}/dev/outbox?to=${encodeURIComponent(to)}`
  const response = await fetch(url, { headers: { accept: 'application/json' } })
  return (await response.json()).messages
}
