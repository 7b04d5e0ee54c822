// A peer that is not ours: js-libp2p. It dials a Connectome node, pings it, reads identify, opens a stream by name, hears a topic and
// speaks on it. It does not link: it sends no frames.
//
// node peer.mjs ADDRESS TOPIC PROTOCOL
//
// Each line that it prints is a JSON object of what came to pass; the last one is {"done":true}.

import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { gossipsub } from '@libp2p/gossipsub'
import { multiaddr } from '@multiformats/multiaddr'

const [address, topic, protocol] = process.argv.slice(2)
const say = (what) => console.log(JSON.stringify(what))
const soon = (event, target, wanted) => new Promise((resolve) => {
  const heard = (happened) => {
    if (wanted(happened.detail)) {
      target.removeEventListener(event, heard)
      resolve(happened.detail)
    }
  }
  target.addEventListener(event, heard)
})

const peer = await createLibp2p({
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: { identify: identify(), ping: ping(), pubsub: gossipsub() }
})

const identified = soon('peer:identify', peer, () => true)
const listens = soon('subscription-change', peer.services.pubsub, (change) =>
  change.subscriptions.some((one) => one.topic === topic && one.subscribe))
const heard = soon('message', peer.services.pubsub, (message) => message.topic === topic)
peer.services.pubsub.subscribe(topic)

const connection = await peer.dial(multiaddr(address))
say({ peer: peer.peerId.toString(), dialled: connection.remotePeer.toString() })
say({ ping: await peer.services.ping.ping(connection.remotePeer) >= 0 })
const { agentVersion, protocolVersion, protocols } = await identified
say({ agent: agentVersion, version: protocolVersion, protocols })

const stream = await connection.newStream(protocol)
stream.send(new TextEncoder().encode('from elsewhere'))
const chunks = []
for await (const chunk of stream) {
  chunks.push(Buffer.from(chunk.subarray()))
  if (Buffer.concat(chunks).length >= 14) break
}
say({ echo: Buffer.concat(chunks).toString() })
await stream.close()

await listens
// The mesh forms with the next heartbeat; until then nobody may be there to be told.
let told = 0
while (told === 0) {
  const sent = await peer.services.pubsub.publish(topic, new TextEncoder().encode('said elsewhere')).catch(() => ({ recipients: [] }))
  told = sent.recipients.length
  if (told === 0) await new Promise((resolve) => setTimeout(resolve, 100))
}
const message = await heard
say({ heard: Buffer.from(message.data).toString(), author: message.from.toString() })
await peer.stop()
say({ done: true })
process.exit(0)
