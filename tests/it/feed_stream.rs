//! The revocation feed as a stream.

#![allow(clippy::disallowed_methods, reason = "what is promised here is promised in real time")]

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::json;

use crate::feed::{Verifier, ask, awake, begins_anew, gone, refused, signs_out};
use crate::house::{House, houses_alone, pause};
use crate::sequencer::number;

/// An open stream, read event by event.
struct Stream {
    body: Body,
    text: String,
}

#[derive(Debug)]
struct Event {
    id: String,
    event: String,
    data: String,
}

impl Stream {
    async fn open(house: &House, request: Request<Body>) -> Stream {
        let response = house.respond(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Stream { body: response.into_body(), text: String::new() }
    }

    async fn of(house: &House, verifier: &Verifier, consumer: &str) -> Stream {
        let path = path(verifier, consumer);
        Stream::open(house, ask(&path, Some(&verifier.token)).body(Body::empty()).unwrap()).await
    }

    /// The next event; `None` once the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        while !self.text.contains("\n\n") {
            let frame = tokio::time::timeout(Duration::from_secs(8), self.body.frame());
            let frame = frame.await.expect("an event")?;
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
        let (event, rest) = self.text.split_once("\n\n").unwrap();
        let field = |name: &str| {
            let line = event.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().to_owned()
        };
        let event = Event { id: field("id: "), event: field("event: "), data: field("data: ") };
        self.text = rest.to_owned();
        Some(event)
    }

    /// The next frame that is no heartbeat, applied; how many records it had.
    async fn learns(&mut self, house: &House, verifier: &mut Verifier) -> usize {
        loop {
            let event = self.next().await.expect("the stream goes on");
            assert_eq!(event.event, "frame");
            let records = verifier.applies(house, &event.data, None).await.len();
            assert_eq!(event.id, format!("{}.{}", verifier.incarnation, verifier.seq));
            if records > 0 {
                return records;
            }
        }
    }
}

fn path(verifier: &Verifier, consumer: &str) -> String {
    let Verifier { pool, incarnation, seq, .. } = verifier;
    format!("/{pool}/revocations/stream?since={seq}&incarnation={incarnation}&consumer={consumer}")
}

#[tokio::test]
async fn a_stream_begins_with_a_heartbeat_and_tells_each_sign_out_in_one_chain() {
    for house in houses_alone("stream_tells").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let mut stream = Stream::of(&house, &verifier, "a").await;
        let first = stream.next().await.unwrap();
        assert_eq!(verifier.applies(&house, &first.data, None).await.len(), 0);
        for _ in 0..5 {
            signs_out(&house, &pool, "ann").await;
            assert_eq!(stream.learns(&house, &mut verifier).await, 1);
        }
        // Nothing happens: a heartbeat within two seconds.
        let beat = stream.next().await.unwrap();
        assert_eq!(verifier.applies(&house, &beat.data, None).await.len(), 0);
        assert_eq!(verifier.seq, 5);
    }
}

#[tokio::test]
async fn streams_that_are_up_to_date_share_one_signature() {
    for house in houses_alone("stream_shares").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let mut streams = Vec::new();
        for n in 0..20 {
            let mut stream = Stream::of(&house, &verifier, &format!("c{n}")).await;
            stream.next().await.unwrap();
            streams.push(stream);
        }
        signs_out(&house, &pool, "ann").await;
        let mut frames = Vec::new();
        for stream in &mut streams {
            loop {
                let event = stream.next().await.unwrap();
                if event.id.ends_with(".1") {
                    frames.push(event.data);
                    break;
                }
            }
        }
        assert!(
            frames.iter().all(|frame| *frame == frames[0]),
            "the same text, signature included"
        );
        assert_eq!(verifier.applies(&house, &frames[0], None).await.len(), 1);
        assert_eq!(house.app.feeds.crowd(), (0, 20));
        drop(streams);
        let mut left = house.app.feeds.crowd();
        for _ in 0..300 {
            if left != (0, 0) {
                pause().await;
                left = house.app.feeds.crowd();
            }
        }
        assert_eq!(left, (0, 0), "places of streams that are gone are free again");
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_the_last_one_ended() {
    for house in houses_alone("stream_resumes").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        for _ in 0..3 {
            signs_out(&house, &pool, "ann").await;
        }
        number(&house).await;
        let start = path(&verifier, "a");
        let mut stream = Stream::of(&house, &verifier, "a").await;
        assert_eq!(stream.learns(&house, &mut verifier).await, 3, "what it lacks comes at once");
        drop(stream);
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        // As a browser's EventSource does: the old address, and the last id in a header.
        let last = format!("{}.{}", verifier.incarnation, verifier.seq);
        let request = ask(&start, Some(&verifier.token)).header("last-event-id", &last);
        let mut stream = Stream::open(&house, request.body(Body::empty()).unwrap()).await;
        assert_eq!(stream.learns(&house, &mut verifier).await, 1);
        assert_eq!(verifier.seq, 4);
        for (wrong, status) in [("4", 400), ("x.4", 400), ("BBBBBBBBBBBBBBBBBBBBBB.4", 410)] {
            let request = ask(&start, Some(&verifier.token)).header("last-event-id", wrong);
            let answer = house.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status.as_u16(), status, "{wrong}: {}", answer.body);
        }
        verifier.seq = 99;
        assert_eq!(refused(&house, &path(&verifier, "a"), Some(&verifier.token)).await, gone());
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_feed_begins_anew_and_when_the_server_stops() {
    for house in houses_alone("stream_ends").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let verifier = Verifier::of(&house, &pool).await;
        let mut stream = Stream::of(&house, &verifier, "a").await;
        stream.next().await.unwrap();
        begins_anew(&house, &pool).await;
        let event = loop {
            let event = stream.next().await.unwrap();
            if event.event != "frame" {
                break event;
            }
        };
        assert_eq!(event.event, "snapshot_required");
        assert!(stream.next().await.is_none());

        let verifier = Verifier::of(&house, &pool).await;
        let mut stream = Stream::of(&house, &verifier, "a").await;
        stream.next().await.unwrap();
        house.app.meters.drain();
        while stream.next().await.is_some() {}
    }
}

#[tokio::test]
async fn a_deleted_pool_is_told_to_those_who_are_connected() {
    for house in houses_alone("stream_pool").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let mut stream = Stream::of(&house, &verifier, "a").await;
        stream.next().await.unwrap();
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        let event = loop {
            let event = stream.next().await.unwrap();
            if event.id.ends_with(".1") {
                break event;
            }
        };
        let records = verifier.applies(&house, &event.data, None).await;
        assert_eq!(
            (&records[0][0], &records[0][1]),
            (&json!("P"), &json!(crate::feed::key16("P", &pool, &pool)))
        );
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_dropped_and_keeps_no_other_waiting() {
    let house = houses_alone("stream_unread").await.remove(0);
    let _awake = awake(&house);
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let mut verifier = Verifier::of(&house, &pool).await;
    let unread = Stream::of(&house, &verifier, "idle").await;
    let mut read = Stream::of(&house, &verifier, "busy").await;
    // More than is kept for somebody who is slow.
    while verifier.seq < 100 {
        signs_out(&house, &pool, "ann").await;
        read.learns(&house, &mut verifier).await;
    }
    assert_eq!(house.app.feeds.crowd(), (0, 2));
    let began = std::time::Instant::now();
    while house.app.feeds.crowd() != (0, 1) {
        assert!(began.elapsed() < Duration::from_secs(15), "it is still there");
        pause().await;
        if verifier.seq < 101 {
            signs_out(&house, &pool, "ann").await;
            read.learns(&house, &mut verifier).await;
        }
    }
    drop(unread);
}
