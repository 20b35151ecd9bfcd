// pysaml2 as SAML provider: everything that can be signed, encrypted, spoiled, or said by SOAP.

import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'

import { AdminUserGlobalSignOutCommand, GlobalSignOutCommand } from '@aws-sdk/client-cognito-identity-provider'

import { claims, visiting } from '../browser/stage.js'
import { signInAtPysaml2 as prove, startPysaml2 } from './pysaml2.js'
import { makeTenant, newcomer, openStage, soon, timed } from './stage.js'

const OID = 'urn:oid:'
const MAPPING = {
  email: `${OID}0.9.2342.19200300.100.1.3`,
  given_name: `${OID}2.5.4.42`,
  family_name: `${OID}2.5.4.4`,
  'custom:groups': `${OID}1.3.6.1.4.1.5923.1.1.1.1`,
}
const NAME = 'pysaml2'
const USUAL = {
  sign_response: false,
  sign_assertion: true,
  encrypt: null,
  encryption_certificate: null,
  want_signed_requests: false,
  sign_in_bindings: ['redirect', 'post'],
  logout_bindings: ['redirect', 'post', 'soap'],
  logout_status: 'success',
}

let stage, py, door

before(async () => {
  stage = await openStage()
  py = await startPysaml2()
  stage.closing.push(py.stop)
  door = await known()
})

beforeEach(() => py.tell('options', USUAL))

after(async () => {
  await stage?.close()
})

/** A pool that pysaml2 knows, with pysaml2 as its provider, as the options make it at this moment. */
async function known(details = {}, options = {}, from = py) {
  await from.tell('options', options)
  const tenant = await makeTenant(stage)
  const { entity } = await from.tell('know', { metadata: await tenant.metadata() })
  assert.equal(entity, `urn:amazon:cognito:sp:${tenant.poolId}`)
  const door = await tenant.provide(NAME, 'SAML', { MetadataURL: from.metadataUrl, IDPSignout: 'true', ...details }, MAPPING)
  return Object.assign(door, { entity })
}

const asked = page => page.locator('input[name=user]').waitFor()

/** What pysaml2 noted of messages of this kind since `from`. */
async function noted(what, from = 0) {
  const log = await py.tell('log')
  return log.slice(from).filter(message => message.what === what)
}

const now = async () => (await py.tell('log')).length

/** The NameID that the provider gives to the person of these tokens. */
const nameId = tokens => claims(tokens.id_token).identities[0].userId

// --- what pysaml2 reads of us ---

test('it reads our metadata: where to post responses, and all three ways of logout', async () => {
  const tenant = await makeTenant(stage)
  const { endpoints, certificates } = await py.tell('know', { metadata: await tenant.metadata() })
  assert.deepEqual(endpoints.assertion_consumer_service[0], ['HTTP-POST', `${tenant.domain}/saml2/idpresponse`])
  const logout = `${tenant.domain}/saml2/logout`
  for (const binding of ['HTTP-Redirect', 'HTTP-POST', 'SOAP']) {
    assert.ok(endpoints.single_logout_service.some(([by, at]) => by === binding && at === logout), binding)
  }
  assert.ok(certificates.signing >= 1)
})

// --- signing in ---

for (const [what, options] of Object.entries({
  'the assertion': { sign_response: false, sign_assertion: true },
  'the response': { sign_response: true, sign_assertion: false },
  'both': { sign_response: true, sign_assertion: true },
})) {
  test(`a response is accepted that has a signature on ${what}`, async () => {
    await py.tell('options', options)
    await visiting(stage, async page => {
      const ann = newcomer()
      const tokens = await door.signIn(page, ann, prove)
      const id = claims(tokens.id_token)
      assert.equal(id['cognito:username'], `${NAME}_${id.identities[0].userId}`)
      assert.deepEqual([id.email, id.given_name, id.family_name], [`${ann}@example.org`, 'Ann', 'Müller & <Söhne>'])
      assert.deepEqual(id['cognito:groups'], [`${door.tenant.poolId}_${NAME}`])
      assert.equal((await door.describe(tokens)).UserStatus, 'EXTERNAL_PROVIDER')
    })
  })
}

test('a response without any signature is refused, and the app is told', async () => {
  await py.tell('options', { sign_response: false, sign_assertion: false })
  await visiting(stage, async page => {
    await door.begin(page)
    await prove(page, newcomer())
    const { error, error_description, code } = await door.arrival(page)
    assert.deepEqual([error, code], ['invalid_request', undefined])
    assert.match(error_description, /sign/i)
  })
})

test('a response that a new, unknown key signed is refused, until the metadata says so', async () => {
  const other = await startPysaml2()
  try {
    const door = await known({}, {}, other)
    await other.changeKey()
    await visiting(stage, async page => {
      await door.begin(page)
      await prove(page, newcomer())
      const { code, error_description } = await door.arrival(page)
      // Whoever reads the metadata again at once may let it pass; who does not has to say what is wrong.
      if (!code) assert.match(error_description, /sign/i)
    })
    await door.update({ MetadataURL: other.metadataUrl, IDPSignout: 'true' })
    await visiting(stage, async page => {
      assert.ok((await door.signIn(page, newcomer(), prove)).access_token)
    })
  } finally {
    await other.stop()
  }
})

for (const cipher of ['aes256-gcm', 'aes256-cbc']) {
  test(`an assertion is read that is encrypted with ${cipher}`, async () => {
    const door = await known({ EncryptedResponses: 'true' })
    const { ActiveEncryptionCertificate } = door.described.ProviderDetails
    await py.tell('options', { encrypt: cipher, encryption_certificate: ActiveEncryptionCertificate })
    await visiting(stage, async page => {
      const tokens = await door.signIn(page, newcomer('bob'), prove)
      assert.equal(claims(tokens.id_token).family_name, 'Builder')
    })
  })
}

test('an assertion in the clear is refused where it must be encrypted', async () => {
  const door = await known({ EncryptedResponses: 'true' })
  await visiting(stage, async page => {
    await door.begin(page)
    await prove(page, newcomer())
    const { error_description, code } = await door.arrival(page)
    assert.equal(code, undefined)
    assert.match(error_description, /encrypt/i)
  })
})

for (const binding of ['redirect', 'post']) {
  test(`a provider that wants requests signed gets them signed, by ${binding}`, async () => {
    const door = await known({}, { want_signed_requests: true, sign_in_bindings: [binding] })
    const from = await now()
    await visiting(stage, page => door.signIn(page, newcomer(), prove))
    const [request] = await noted('AuthnRequest', from)
    assert.deepEqual([request.signed, request.binding.toLowerCase()], [true, `http-${binding}`])
    assert.ok(request.relay_state.length <= 80)
  })
}

test('attributes are those of the last sign-in, and who comes again is the same', () =>
  visiting(stage, async page => {
    const first = await door.signIn(page, newcomer(), prove)
    const again = await door.signInAgain(page)
    assert.equal(claims(again.id_token).sub, claims(first.id_token).sub)
    assert.equal((await py.tell('sessions')).filter(({ user }) => user === claims(first.id_token).email.split('@')[0]).length, 1)
  }))

// --- signing out here ---

for (const binding of ['redirect', 'post']) {
  test(`signing out here signs out there, by ${binding}`, async t => {
    const door = await known({}, { logout_bindings: [binding] })
    await visiting(stage, async page => {
      const tokens = await door.signIn(page, newcomer(), prove)
      const [session] = (await py.tell('sessions')).slice(-1)
      const from = await now()
      await timed(t, `sign-out through pysaml2 by ${binding}`, async () => {
        await page.goto(door.logoutUrl)
        await page.waitForURL(door.signedOutUrl)
      })
      const [request] = await noted('LogoutRequest', from)
      assert.deepEqual([request.binding.toLowerCase(), request.signed, request.ended], [`http-${binding}`, true, 1])
      assert.deepEqual(request.indexes, [session.index])
      assert.deepEqual(request.name_id, {
        value: nameId(tokens),
        format: 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
        name_qualifier: py.entity,
        sp_name_qualifier: door.entity,
      })
      assert.equal(await door.isSignedIn(page), false)
      await door.begin(page)
      await asked(page)
    })
  })
}

test('a provider that only speaks SOAP is told by SOAP when a browser signs out', async t => {
  const door = await known({}, { logout_bindings: ['soap'] })
  await visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    const from = await now()
    await timed(t, 'sign-out through pysaml2 by SOAP', async () => {
      await page.goto(door.logoutUrl)
      await page.waitForURL(door.signedOutUrl)
    })
    await soon(async () => (await noted('LogoutRequest', from)).length === 1, 'the LogoutRequest by SOAP')
    await door.begin(page)
    await asked(page)
  })
})

test('a provider that could not sign everybody out is not taken for one that did', async () => {
  await py.tell('options', { logout_status: 'Responder' })
  await visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    await page.goto(door.logoutUrl)
    const onward = page.locator(`a[href="${door.signedOutUrl}"]`)
    await onward.waitFor()
    await page.shot('federation-logout-refused')
    await onward.click()
    await page.waitForURL(door.signedOutUrl)
  })
})

test('a provider that answers nonsense strands nobody', () =>
  visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    await page.route(`${py.gate.origin}/slo**`, async route => {
      const relay = new URL(route.request().url()).searchParams.get('RelayState')
      await route.fulfill({
        contentType: 'text/html',
        body: `<form method=post action="${door.domain}/saml2/logout"><input name=SAMLResponse value="bm9uc2Vuc2U="><input name=RelayState value="${relay}"></form><script>document.forms[0].submit()</script>`,
      })
    })
    await page.goto(door.logoutUrl)
    await page.locator(`a[href="${door.signedOutUrl}"]`).waitFor()
    assert.equal(await door.isSignedIn(page), false)
  }))

test('a provider that does not answer for 30 s strands nobody', { timeout: 60_000 }, t =>
  visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    await py.gate.failing({ path: /^\/slo$/, after: 120_000 }, async () => {
      const ms = await timed(t, 'sign-out with pysaml2 silent', async () => {
        await page.goto(door.logoutUrl, { waitUntil: 'commit' })
        const onward = page.locator(`a[href="${door.signedOutUrl}"]`)
        await onward.waitFor({ timeout: 45_000 })
        await page.shot('federation-provider-silent')
        await onward.click()
        await page.waitForURL(door.signedOutUrl)
        return 1
      })
      assert.ok(ms > 20_000 && ms < 40_000, `${ms} ms`)
    })
    await door.begin(page)
    await asked(page)
  }))

// --- a sign-out here without a browser ---

for (const [what, command] of [
  ['GlobalSignOut', (door, tokens) => new GlobalSignOutCommand({ AccessToken: tokens.access_token })],
  ['AdminUserGlobalSignOut', (door, tokens) => new AdminUserGlobalSignOutCommand({ UserPoolId: door.tenant.poolId, Username: `${NAME}_${nameId(tokens)}` })],
]) {
  test(`${what} ends the session there, by SOAP`, async t => {
    await visiting(stage, async page => {
      const tokens = await door.signIn(page, newcomer(), prove)
      const from = await now()
      const began = performance.now()
      await stage.idp.send(command(door, tokens))
      const acknowledged = Math.round(performance.now() - began)
      await soon(async () => (await noted('LogoutRequest', from)).length > 0, 'the LogoutRequest')
      t.diagnostic(`${what}: acknowledged after ${acknowledged} ms, the provider told after ${Math.round(performance.now() - began)} ms`)
      const requests = await noted('LogoutRequest', from)
      assert.deepEqual(requests.map(({ binding, signed, ended }) => [binding, signed, ended]), [['SOAP', true, 1]])
      await door.assertEnded(tokens)
      const again = await now()
      const flow = await door.begin(page)
      await asked(page)
      await prove(page, newcomer())
      await door.redeem(page, flow)
      assert.equal((await noted('AuthnRequest', again)).length, 1, 'no need to force what is over')
    })
  })
}

test('a provider that is down at a GlobalSignOut delays nothing, and is told when it is back', { timeout: 60_000 }, t =>
  visiting(stage, async page => {
    const tokens = await door.signIn(page, newcomer(), prove)
    const from = await now()
    await py.gate.unplugged(async () => {
      const began = performance.now()
      await stage.idp.send(new GlobalSignOutCommand({ AccessToken: tokens.access_token }))
      assert.ok(performance.now() - began < 1_000)
      await door.assertEnded(tokens)
      await new Promise(resolve => setTimeout(resolve, 500))
    })
    const ms = await soon(async () => (await noted('LogoutRequest', from)).length > 0, 'the LogoutRequest', 30_000)
    t.diagnostic(`told ${ms} ms after it came back`)
  }))

// --- signing out there ---

for (const binding of ['redirect', 'post']) {
  test(`who signs out there is signed out here, told by ${binding}`, t =>
    visiting(stage, async page => {
      const tokens = await door.signIn(page, newcomer(), prove)
      assert.equal(await door.isSignedIn(page), true)
      const from = await now()
      await timed(t, `sign-out begun at pysaml2, by ${binding}`, async () => {
        await page.goto(py.signOutUrl(door.entity, binding))
        await page.getByRole('heading', { name: 'Signed out at pysaml2' }).waitFor()
      })
      const [answer] = await noted('LogoutResponse', from)
      assert.deepEqual([answer.signed, answer.expected, answer.code], [true, true, 'Success'])
      assert.equal(answer.relay_state, 'back-at-pysaml2')
      assert.equal(answer.issuer, door.entity)
      assert.equal((await noted('LogoutRequest', from)).length, 0, 'it is not echoed')
      assert.equal(await door.isSignedIn(page), false)
      await door.assertEnded(tokens)
    }))
}

// The first is what pysaml2 says by itself; the second what the SOAP binding of SAML asks for.
for (const content_type of [undefined, 'text/xml', 'text/xml; charset=utf-8']) {
  test(`who signs out there is signed out here, told by SOAP (${content_type ?? "pysaml2's own Content-Type"})`, t =>
    visiting(stage, async page => {
      const ann = newcomer()
      const tokens = await door.signIn(page, ann, prove)
      let answer
      await timed(t, 'sign-out begun at pysaml2, by SOAP', async () => {
        answer = await py.tell('soap_logout', { entity: door.entity, user: ann, content_type })
      })
      assert.deepEqual([answer.status, answer.error, answer.code, answer.signed], [200, undefined, 'Success', true], answer.body)
      assert.match(answer.type, /^text\/xml/)
      assert.equal(await door.isSignedIn(page), false)
      await door.assertEnded(tokens)
    }))
}

test('a sign-out there names one session, and reaches only that one', () =>
  visiting(stage, async here => {
    await visiting(stage, async there => {
      const ann = newcomer()
      const [first, second] = [await door.signIn(here, ann, prove), await door.signIn(there, ann, prove)]
      // The first of the two at the provider, too.
      const answer = await py.tell('soap_logout', { entity: door.entity, user: ann })
      assert.equal(answer.code, 'Success')
      await door.assertEnded(first)
      await door.assertAlive(second)
      assert.deepEqual([await door.isSignedIn(here), await door.isSignedIn(there)], [false, true])
    })
  }))

test('a sign-out there that names no session reaches all of the person, and nobody else', () =>
  visiting(stage, async here => {
    await visiting(stage, async there => {
      const [ann, bob] = [newcomer(), newcomer('bob')]
      const mine = await door.signIn(here, ann, prove)
      const other = await door.signIn(there, bob, prove)
      await here.context().clearCookies()
      const also = await door.signIn(here, ann, prove)
      const answer = await py.tell('soap_logout', { entity: door.entity, user: ann, index: [] })
      assert.equal(answer.code, 'Success')
      await door.assertEnded(mine)
      await door.assertEnded(also)
      await door.assertAlive(other)
    })
  }))

test('a sign-out there that finds nobody here any more is answered with success', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    await door.signIn(page, ann, prove)
    await page.goto(door.logoutUrl)
    await page.waitForURL(door.signedOutUrl)
    const answer = await py.tell('soap_logout', { entity: door.entity, user: ann })
    assert.deepEqual([answer.status, answer.code, answer.signed], [200, 'Success', true], answer.body)
  }))

for (const [what, spoiled] of Object.entries({
  'is not signed': { unsigned: true },
  'is too old': { expired: true },
  'is addressed to somebody else': { destination: 'https://elsewhere.example.com/saml2/logout' },
})) {
  test(`a LogoutRequest that ${what} ends nothing`, () =>
    visiting(stage, async page => {
      const ann = newcomer()
      const tokens = await door.signIn(page, ann, prove)
      const answer = await py.tell('soap_logout', { entity: door.entity, user: ann, index: [], content_type: 'text/xml', ...spoiled })
      assert.notEqual(answer.code, 'Success', answer.body)
      for (const binding of ['redirect', 'post']) {
        const request = await py.tell('logout_request', { entity: door.entity, user: ann, index: [], binding, ...spoiled })
        const response = await bring(request)
        assert.ok(response.status >= 400 || !(await response.text()).includes('status:Success'), await response.text())
      }
      await door.assertAlive(tokens)
      assert.equal(await door.isSignedIn(page), true)
    }))
}

test('a LogoutRequest is worth something once', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    await door.signIn(page, ann, prove)
    const request = await py.tell('logout_request', { entity: door.entity, user: ann, binding: 'post', index: [] })
    assert.ok((await bring(request)).ok)
    const tokens = await door.signIn(page, ann, prove)
    await bring(request)
    await door.assertAlive(tokens)
    assert.equal(await door.isSignedIn(page), true)
  }))

test('a LogoutRequest of another pool ends nothing here', async () => {
  const other = await known()
  await visiting(stage, async page => {
    const ann = newcomer()
    const tokens = await door.signIn(page, ann, prove)
    const answer = await py.tell('soap_logout', { entity: other.entity, user: ann, index: [], name: nameId(tokens) })
    assert.equal(answer.status, 200)
    await door.assertAlive(tokens)
  })
})

/** Brings a message as the browser of a stranger would: without a cookie. */
function bring({ url, page }) {
  if (!page) return stage.fetch(url, { redirect: 'manual' })
  const fields = [...page.matchAll(/name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value.replaceAll('&#x2F;', '/')])
  return stage.fetch(url, { method: 'POST', body: new URLSearchParams(fields), redirect: 'manual' })
}
