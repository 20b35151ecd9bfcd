// SimpleSAMLphp as SAML identity provider: Debian's package, run by PHP's own web server, configured in ./simplesamlphp.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { freePort } from '../support.js'
import { Gate } from './gate.js'
import { makeKey, repository, scratchWithKey, start } from './program.js'

const places = [join(repository, '.tools/simplesamlphp/usr/share/simplesamlphp'), '/usr/share/simplesamlphp']

export async function startSimpleSamlPhp({ signedRequests = false } = {}) {
  const home = places.find(existsSync)
  if (!home) throw new Error(`SimpleSAMLphp is neither in ${places.join(' nor in ')}: run ./test install`)
  const scratch = scratchWithKey('simplesamlphp')
  for (const folder of ['providers', 'sessions', 'temp']) mkdirSync(join(scratch, folder))
  const port = await freePort()
  const gate = await Gate.open(port)
  const env = {
    PATH: process.env.PATH,
    SIMPLESAMLPHP_CONFIG_DIR: fileURLToPath(new URL('./simplesamlphp', import.meta.url)),
    SSP_SCRATCH: scratch,
    SSP_ORIGIN: gate.origin,
    SSP_SIGNED_REQUESTS: signedRequests ? 'yes' : 'no',
  }
  const settings = ['-d', 'display_errors=stderr', '-d', 'error_reporting=E_ALL&~E_DEPRECATED']
  const program = await start(scratch, port, 'php', [...settings, '-S', `127.0.0.1:${port}`, '-t', join(home, 'www')], { env }).catch(async error => {
    await gate.unplug()
    throw error
  })
  return {
    gate,
    said: program.said,
    entity: `${gate.origin}/idp`,
    metadataUrl: `${gate.origin}/saml2/idp/metadata.php`,
    /** Reads the metadata of a service provider, which may be served under one of these names. */
    know(name, metadata) {
      writeFileSync(join(scratch, 'providers', `${name}.xml`), metadata)
    },
    /** All its sessions are lost. */
    forgetSessions() {
      for (const file of readdirSync(join(scratch, 'sessions'))) rmSync(join(scratch, 'sessions', file))
    },
    changeKey: () => makeKey(scratch, 'simplesamlphp'),
    /** Where a sign-out of everything begins in the browser. */
    signOutUrl: then => `${gate.origin}/saml2/idp/initSLO.php?${new URLSearchParams({ RelayState: then })}`,
    /** Where a sign-in that the service provider did not ask for begins. */
    unsolicitedUrl: (entity, relayState) =>
      `${gate.origin}/saml2/idp/SSOService.php?${new URLSearchParams({ spentityid: entity, RelayState: relayState })}`,
    async stop() {
      await gate.unplug()
      await program.stop()
    },
  }
}

/** Fills in its sign-in page; everybody's password begins with the name. */
export async function signInAtSimpleSamlPhp(page, user) {
  await page.locator('input[name=username]').fill(user)
  await page.locator('input[name=password]').fill(`${user.slice(0, 3)}pass`)
  await page.locator('#submit_button').click()
}
