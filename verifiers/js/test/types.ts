// Checked by tsc, never run: the types fit the libraries that they are for.

import { JwtVerifier } from 'aws-jwt-verify'
import express from 'express'
import fastify from 'fastify'
import * as jose from 'jose'
import { WebSocket } from 'ws'

import { CenoteVerifier, RevokedError, type State, type Verdict } from '@cenote/verifier'
import { customJwtCheck } from '@cenote/verifier/aws-jwt-verify'
import { protect } from '@cenote/verifier/express'
import { cenote } from '@cenote/verifier/fastify'
import { withRevocation } from '@cenote/verifier/jose'
import { guardSocket } from '@cenote/verifier/ws'

const verifier = new CenoteVerifier({
  issuer: 'https://id.example.com/eu-west-1_A',
  clientId: 'a',
  clientSecret: 'b',
}).start()
verifier.on('state', (now: State, before: State) => console.log(now, before))
verifier.on('problem', error => console.warn(error.message))
new CenoteVerifier({ issuer: verifier.issuer, tls: () => ({ ca: 'pem', cert: 'pem', key: 'pem' }) })
// @ts-expect-error There is no such policy.
new CenoteVerifier({ issuer: 'https://id.example.com/eu-west-1_A', policy: 'maybe' })

const plain = JwtVerifier.create({
  issuer: verifier.issuer,
  audience: null,
  customJwtCheck: customJwtCheck(verifier, { policy: 'closed' }),
})
plain.verify('token').then(payload => payload.sub)

JwtVerifier.create({
  issuer: verifier.issuer,
  audience: null,
  customJwtCheck: customJwtCheck(verifier, { tokenUse: 'id', also: ({ payload }) => console.log(payload) }),
})

const jwtVerify = withRevocation(jose.jwtVerify, verifier, { tokenUse: ['access', 'id'], clientId: 'b' })
jwtVerify('token', new Uint8Array()).then(({ payload }) => payload.sub)

express().get('/', protect(verifier, { tokenUse: 'id' }), (req, res) => res.json(req.auth?.claims.sub))

const app = fastify()
app.register(cenote, { verifier, policy: 'introspect' })
app.get('/', { config: { cenote: 'closed' } }, async request => request.auth?.claims.sub)
app.get('/health', { config: { cenote: false } }, async () => ({}))

const socket: WebSocket = new WebSocket('wss://api.example.com')
verifier.verify('token').then(verified => guardSocket(verifier, socket, { ...verified, token: 'token' }))

const verdict: Promise<Verdict> = verifier.check({}, {}, { token: 'token' })
verdict.catch(error => error instanceof RevokedError && error.headers['WWW-Authenticate'])
