// The code of docs/clients.md, exactly as a reader copies it. Only what belongs to the reader's own server is replaced by the test's:
// addresses, app clients, the user and the file of the certificate authority.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { CreateUserPoolClientCommand, DeleteUserPoolClientCommand } from '@aws-sdk/client-cognito-identity-provider'

import { poolNamed, unique } from './support.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const page = readFileSync(join(here, '../../docs/clients.md'), 'utf8')

/** The blocks that have a file's name, of some languages: [{language, file, text}]. */
export function blocks(...languages) {
  const found = [...page.matchAll(/^```(\S+)(?: file=(\S+))?\n([\s\S]*?)^```$/gm)]
  const all = found.map(([, language, file, text]) => ({ language, file, text }))
  for (const { file, text } of all) assert.ok(file, `a block of docs/clients.md has no file's name, so no test can run it: ${text}`)
  return all.filter(block => languages.includes(block.language))
}

/**
 * A folder with the code of all blocks in it, set in scene: a user, a public and a confidential app client of its own in the
 * ready pool, whose application is at `app`. `close()` removes it all.
 */
export async function scene(server, idp, app = 'http://localhost:3000') {
  const UserPoolId = server.user_pool_id
  const username = await poolNamed(idp, UserPoolId).user({
    attributes: { email: `${unique('reader')}@example.com`, email_verified: 'true' },
  })
  const addresses = ['/', '/callback', '/auth/callback/cognito'].map(path => app + path)
  const client = async GenerateSecret => {
    const { UserPoolClient } = await idp.send(
      new CreateUserPoolClientCommand({
        UserPoolId,
        ClientName: unique('documentation'),
        GenerateSecret,
        CallbackURLs: addresses,
        LogoutURLs: addresses,
        AllowedOAuthFlows: ['code'],
        AllowedOAuthScopes: ['openid', 'email', 'phone', 'profile', 'aws.cognito.signin.user.admin'],
        AllowedOAuthFlowsUserPoolClient: true,
        SupportedIdentityProviders: ['COGNITO'],
        ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_USER_SRP_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'],
      }),
    )
    return UserPoolClient
  }
  const [open, confidential] = [await client(false), await client(true)]
  const replaced = [
    ['http://localhost:9229', server.endpoint],
    ['localhost:9230', server.tls_endpoint.replace('https://', '')],
    ['http://localhost:3000', app],
    ['us-east-1_CenoteDev', UserPoolId],
    ['cenotedevpublicclient00001', open.ClientId],
    ['cenotedevsecretclient00001', confidential.ClientId],
    [server.confidential_client_secret, confidential.ClientSecret],
    ["'ann'", `'${username}'`],
  ]
  // Inside the package, so that Node finds the libraries.
  const folder = mkdtempSync(join(here, '.documentation-'))
  for (const { file, text } of blocks('js', 'html')) {
    writeFileSync(join(folder, file), replaced.reduce((text, [from, to]) => text.replaceAll(from, to), text))
  }
  const running = []

  /** Runs a block as a program of its own, trusting the local authority. */
  function start(file, ...args) {
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: server.ca_file, NODE_OPTIONS: '', AWS_REGION: 'us-east-1' }
    const child = spawn(process.execPath, [file, ...args], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const program = { child, out: '', err: '', ended: once(child, 'close') }
    child.stdout.on('data', text => (program.out += text))
    child.stderr.on('data', text => (program.err += text))
    running.push(program)
    return program
  }

  return {
    folder,
    username,
    clientId: open.ClientId,
    read: file => readFileSync(join(folder, file), 'utf8'),
    /** Runs a block to its end and answers what it printed. */
    async run(file, ...args) {
      const program = start(file, ...args)
      const [code] = await program.ended
      assert.equal(code, 0, program.err)
      return program.out
    },
    /** Runs a block that is a server, until it answers at `app`. */
    async serve(file) {
      const program = start(file)
      for (let tries = 0; tries < 200; tries++) {
        assert.equal(program.child.exitCode, null, program.err)
        if (await fetch(app).catch(() => null)) return program
        await sleep(50)
      }
      assert.fail(`${file} does not answer: ${program.err}`)
    },
    async close() {
      for (const { child, ended } of running) {
        if (child.exitCode === null) child.kill()
        await ended
      }
      rmSync(folder, { recursive: true, force: true })
      for (const { ClientId } of [open, confidential]) {
        await idp.send(new DeleteUserPoolClientCommand({ UserPoolId, ClientId }))
      }
    },
  }
}
