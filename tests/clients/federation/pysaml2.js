// pysaml2 as SAML identity provider: ./pysaml2_idp.py, which takes commands on its standard input.

import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { freePort } from '../support.js'
import { Gate } from './gate.js'
import { makeKey, repository, scratchWithKey, start } from './program.js'

export async function startPysaml2() {
  const scratch = scratchWithKey('pysaml2')
  const port = await freePort()
  const gate = await Gate.open(port)
  const python = process.env.PYTHON ?? join(repository, '.tools/venv/bin/python')
  const file = fileURLToPath(new URL('./pysaml2_idp.py', import.meta.url))
  const env = { PATH: process.env.PATH, PYTHONUNBUFFERED: '1', NO_PROXY: '*' }
  const program = await start(scratch, port, python, [file, gate.origin, port, scratch], { env, pipe: true }).catch(async error => {
    await gate.unplug()
    throw error
  })
  const answers = createInterface({ input: program.child.stdout })[Symbol.asyncIterator]()
  await answers.next()
  let turn = Promise.resolve()
  /** Each command after the one before: the answers come in that order. */
  const tell = (command, options = {}) => {
    turn = turn.catch(() => {}).then(async () => {
      program.child.stdin.write(`${JSON.stringify({ do: command, with: options })}\n`)
      const { value, done } = await answers.next()
      if (done) throw new Error(`pysaml2 has ended: ${program.said()}`)
      const answer = JSON.parse(value)
      if (answer.error) throw new Error(answer.error)
      return answer.ok
    })
    return turn
  }
  return {
    gate,
    tell,
    said: program.said,
    entity: `${gate.origin}/idp`,
    metadataUrl: `${gate.origin}/metadata`,
    async changeKey() {
      makeKey(scratch, 'pysaml2')
      await tell('options')
    },
    signOutUrl: (entity, binding) => `${gate.origin}/logout?${new URLSearchParams({ entity, binding })}`,
    unsolicitedUrl: (entity, relayState) => `${gate.origin}/unsolicited?${new URLSearchParams({ entity, relay_state: relayState })}`,
    async stop() {
      await gate.unplug()
      await program.stop()
    },
  }
}

/** Fills in its sign-in page. */
export async function signInAtPysaml2(page, user) {
  const name = page.locator('input[name=user]')
  await name.fill(user, { timeout: 30_000 }).catch(async error => {
    throw new Error(`${page.url()} shows ${await page.locator('body').innerText()}`, { cause: error })
  })
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}
