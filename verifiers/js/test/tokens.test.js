// Tokens and options that are wrong.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { CenoteVerifier, InvalidTokenError } from '../src/index.js'
import { fake, follow, verifier } from './given.js'

test('tokens that are none of this pool: each is refused with its reason', async () => {
  await follow({ audience: 'appclient0000000000000001' })
  const good = fake.token()
  const [head, body, signature] = good.split('.')
  const none = Buffer.from('{"alg":"none","kid":"pool-key-1"}').toString('base64url')
  for (const [token, reason] of [
    ['', 'malformed'],
    ['a.b', 'malformed'],
    [`${good}A`.padEnd(70_000, 'A'), 'malformed'],
    [`${none}.${body}.`, 'malformed'],
    [`${head}.${Buffer.from('{}').toString('base64url')}.${signature}`, 'signature'],
    [fake.token({ kid: 'other' }), 'unknown_key'],
    [fake.token({ iss: 'https://elsewhere.example' }), 'issuer'],
    [fake.token({ exp: Math.floor(Date.now() / 1000) - 1 }), 'expired'],
    [fake.token({ nbf: Math.floor(Date.now() / 1000) + 60 }), 'expired'],
    [fake.token({ use: 'id' }), 'token_use'],
    [fake.token({ client_id: 'other' }), 'client'],
    [fake.token({ session: '0b5e8d2c-1111-4222-8333-444455556666' }), 'malformed'],
  ]) {
    await assert.rejects(
      verifier.verify(token),
      error => error instanceof InvalidTokenError && error.reason === reason,
      reason,
    )
  }
})

test('mistakes in the options are told when the verifier is made', () => {
  for (const [options, message] of [
    [{ issuer: 'nonsense' }, /issuer is no URL/],
    [{ issuer: 'http://id.example.com/us-east-1_A' }, /https/],
    [{ consumer: 'a b' }, /consumer/],
    [{ clientSecret: undefined }, /belong together/],
    [{ policy: 'maybe' }, /policy/],
    [{ maxStalenessSeconds: 1 }, /4 to 86400/],
    [{ maxStalenessSeconds: 90_000 }, /4 to 86400/],
  ]) {
    assert.throws(() => new CenoteVerifier(fake.options(options)), message)
  }
})
