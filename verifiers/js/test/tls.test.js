// The feed by a client certificate: against a TLS server that asks for one.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, beforeEach, test } from 'node:test'

import { CenoteVerifier, RevokedError, UnavailableError } from '../src/index.js'
import { Fake, movableClock, until } from './fake.js'

const home = mkdtempSync(join(tmpdir(), 'cenote-tls.'))
after(() => rmSync(home, { recursive: true }))

const ca = issue('ca', '-x509', '-addext', 'basicConstraints=critical,CA:TRUE')
const server = issue('server', ...signedBy(ca), '-addext', 'subjectAltName=IP:127.0.0.1')
const [first, second] = ['first', 'second'].map(name =>
  issue(name, ...signedBy(ca), '-addext', 'extendedKeyUsage=clientAuth'),
)
const stranger = issue('stranger', '-x509')

let fake, verifier, problems

beforeEach(async () => {
  fake = new Fake()
  fake.tls = { ca: ca.cert, cert: server.cert, key: server.key }
  await fake.listen()
})

afterEach(async () => {
  await verifier?.stop()
  await fake.close()
})

/** Without an app client: what lets it in is the certificate. */
function make(tls, options) {
  problems = []
  verifier = new CenoteVerifier({ ...fake.options(options), clientId: undefined, clientSecret: undefined, tls })
  verifier.on('problem', error => problems.push(error))
  return verifier
}

test('with a client certificate the feed is followed, and no token is asked for', async () => {
  make({ ca: ca.cert, cert: first.cert, key: first.key })
  assert.equal(await verifier.ready(), true, String(problems))
  const token = fake.token({ born: 1_000_000 })
  assert.equal((await verifier.verify(token)).verdict.by, 'feed')
  fake.publish('U', 'ann', 1_000_001)
  await until(() => verifier.status.seq === fake.seq)
  await assert.rejects(verifier.verify(token), RevokedError)
  assert.deepEqual(
    fake.requests.filter(({ path, headers }) => path === '/oauth2/token' || headers.authorization),
    [],
  )
})

test('a certificate alone cannot introspect: the policy then refuses as closed does, and says why', async () => {
  const clock = movableClock()
  make({ ca: ca.cert, cert: first.cert, key: first.key }, { clock })
  assert.equal(await verifier.ready(), true, String(problems))
  await verifier.verify(fake.token())
  fake.intercept = () => ({ status: 503 })
  clock.moved.mono += 31_000
  await assert.rejects(
    verifier.verify(fake.token()),
    error => error instanceof UnavailableError && /clientId/.test(error.message),
  )
})

for (const [what, tls] of [
  ['no certificate', { ca: ca.cert }],
  ['a certificate of another authority', { ca: ca.cert, cert: stranger.cert, key: stranger.key }],
]) {
  test(`with ${what} there is no feed, and the policy decides`, async () => {
    make(tls)
    assert.equal(await verifier.ready({ timeoutMs: 300 }), false)
    assert.ok(problems.length > 1)
    await assert.rejects(verifier.verify(fake.token(), { policy: 'closed' }), UnavailableError)
  })
}

test('a server that the authority does not know is not talked to', async () => {
  make({ ca: stranger.cert, cert: first.cert, key: first.key })
  assert.equal(await verifier.ready({ timeoutMs: 300 }), false)
  assert.equal(fake.requests.length, 0)
})

test('a certificate that was renewed is taken up when the old one is refused, without a gap in the feed', async () => {
  let mine = first
  make(() => ({ ca: ca.cert, cert: mine.cert, key: mine.key }))
  assert.equal(await verifier.ready(), true, String(problems))
  const [{ certificate }] = fake.requests.filter(({ path }) => path === '/revocations/delta')
  mine = second
  // The connection lives on, but what it began with counts no more.
  fake.ended.add(certificate)
  fake.publish('U', 'ann', 1_000_001)
  await until(() => verifier.status.seq === fake.seq)
  await until(() => fake.requests.at(-1).certificate !== certificate)
  fake.publish('U', 'bob', 1_000_001)
  await until(() => verifier.status.seq === fake.seq)
  assert.equal(verifier.state, 'FRESH')
  assert.deepEqual(problems, [])
})

function signedBy({ files }) {
  return ['-CA', files.cert, '-CAkey', files.key]
}

function issue(name, ...more) {
  const files = { key: join(home, `${name}.key`), cert: join(home, `${name}.pem`) }
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const named = ['-subj', `/CN=${name}`, '-days', '2', '-keyout', files.key, '-out', files.cert]
  const self = more.includes('-CA') ? ['-x509', ...more] : more
  execFileSync('openssl', ['req', '-config', config(), ...self, ...curve, ...named], { stdio: 'pipe' })
  return { files, key: readFileSync(files.key), cert: readFileSync(files.cert) }
}

/** None of the extensions that a distribution's own file would add. */
function config() {
  const file = join(home, 'openssl.cnf')
  writeFileSync(file, '[req]\ndistinguished_name = name\n[name]\n')
  return file
}
