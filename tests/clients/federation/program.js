// A provider that is a program of its own: started with a folder of its own, ended by its id.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const repository = fileURLToPath(new URL('../../..', import.meta.url))

/** A folder for one provider, with a key and a certificate in it as `idp.key` and `idp.crt`. */
export function scratchWithKey(name) {
  const scratch = mkdtempSync(join(tmpdir(), `cenote-${name}.`))
  makeKey(scratch, name)
  return scratch
}

/** A new key and certificate, in place of those that are there. */
export function makeKey(scratch, name) {
  const files = ['-keyout', join(scratch, 'idp.key'), '-out', join(scratch, 'idp.crt')]
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3', '-subj', `/CN=${name}`, ...files], {
    stdio: 'pipe',
  })
}

/** Starts `command` with its words logged to `scratch`, waits until `port` answers; `stop()` ends it and removes the folder. */
export async function start(scratch, port, command, args, options) {
  const log = join(scratch, 'log')
  const output = openSync(log, 'a')
  const child = spawn(command, args, { ...options, stdio: [options.pipe ? 'pipe' : 'ignore', options.pipe ? 'pipe' : output, output] })
  closeSync(output)
  const ended = once(child, 'exit')
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await ended
      clearTimeout(late)
    }
    rmSync(scratch, { recursive: true, force: true })
  }
  const said = () => readFileSync(log, 'utf8')
  const late = Date.now() + 60_000
  while (Date.now() < late && child.exitCode === null) {
    if (await answers(port)) return { child, said, stop }
    await sleep(50)
  }
  const words = said()
  await stop()
  throw new Error(`${command} did not start: ${words}`)
}

function answers(port) {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(socket.destroy() && true))
    socket.once('error', () => resolve(false))
  })
}
