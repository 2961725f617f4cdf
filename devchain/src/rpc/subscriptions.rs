//! What is told without being asked again.

use std::sync::Arc;

use jsonrpsee::core::{RegisterMethodError, SubscriptionError};
use jsonrpsee::server::SubscriptionSink;
use jsonrpsee::{PendingSubscriptionSink, SubscriptionMessage};
use runtime::Header;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast::{self, error::RecvError};

use super::author::refused;
use super::{Module, from_hex, state};
use crate::node::{ChainEvent, Node};

type Told = Result<(), SubscriptionError>;
type Event = (u64, ChainEvent);

pub(super) fn register(module: &mut Module) -> Result<(), RegisterMethodError> {
    let heads = [
        ("chain_subscribeNewHeads", "chain_newHead", "chain_unsubscribeNewHeads", false),
        ("chain_subscribeNewHead", "chain_newHead", "chain_unsubscribeNewHead", false),
        ("subscribe_newHead", "chain_newHead", "unsubscribe_newHead", false),
        ("chain_subscribeAllHeads", "chain_allHead", "chain_unsubscribeAllHeads", false),
        (
            "chain_subscribeFinalizedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalizedHeads",
            true,
        ),
        (
            "chain_subscribeFinalisedHeads",
            "chain_finalizedHead",
            "chain_unsubscribeFinalisedHeads",
            true,
        ),
    ];
    for (subscribe, told, unsubscribe, finalized) in heads {
        module.register_subscription(
            subscribe,
            told,
            unsubscribe,
            move |_, pending, node, _| tell_heads(pending, node, finalized),
        )?;
    }
    module.register_subscription(
        "state_subscribeRuntimeVersion",
        "state_runtimeVersion",
        "state_unsubscribeRuntimeVersion",
        |_, pending, node, _| tell_changes(pending, node, |node| state::version(node, None).ok()),
    )?;
    module.register_subscription(
        "chain_subscribeRuntimeVersion",
        "chain_runtimeVersion",
        "chain_unsubscribeRuntimeVersion",
        |_, pending, node, _| tell_changes(pending, node, |node| state::version(node, None).ok()),
    )?;
    module.register_subscription(
        "state_subscribeStorage",
        "state_storage",
        "state_unsubscribeStorage",
        |params, pending, node, _| async move {
            match params.sequence().optional_next::<Vec<String>>() {
                Ok(keys) => tell_storage(pending, node, keys.unwrap_or_default()).await,
                Err(error) => {
                    pending.reject(error).await;
                    Ok(())
                }
            }
        },
    )?;
    module.register_subscription(
        "author_submitAndWatchExtrinsic",
        "author_extrinsicUpdate",
        "author_unwatchExtrinsic",
        |params, pending, node, _| async move {
            let bytes = params.sequence().next::<String>();
            match bytes.and_then(|bytes| from_hex(&bytes)) {
                Ok(bytes) => watch(pending, node, bytes).await,
                Err(error) => {
                    pending.reject(error).await;
                    Ok(())
                }
            }
        },
    )?;
    Ok(())
}

/// Tells the newest head, then heads as they come. Whoever is slower than they are misses some, and none goes back.
async fn tell_heads(pending: PendingSubscriptionSink, node: Arc<Node>, finalized: bool) -> Told {
    let mut events = node.events();
    let (mut seen, newest) = newest(&node, finalized);
    let sink = pending.accept().await?;
    send(&sink, &newest).await?;
    while let Some(event) = next(&sink, &mut events).await {
        let header = match event {
            Some((number, _)) if number <= seen => continue,
            Some((_, ChainEvent::Best(header))) if !finalized => header,
            Some((_, ChainEvent::Finalized(header))) if finalized => header,
            Some(_) => continue,
            None => {
                let (number, header) = self::newest(&node, finalized);
                seen = number;
                header
            }
        };
        send(&sink, &header).await?;
    }
    Ok(())
}

/// The newest head, and how many events there were until then.
fn newest(node: &Node, finalized: bool) -> (u64, Header) {
    let inner = node.lock();
    let block = if finalized { inner.chain.finalized() } else { inner.chain.best() };
    (inner.told, block.header.clone())
}

/// Tells something of the best block now and whenever it is another one.
async fn tell_changes(
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
    of: impl Fn(&Node) -> Option<Value>,
) -> Told {
    let mut events = node.events();
    let sink = pending.accept().await?;
    let mut last = of(&node);
    send(&sink, &last).await?;
    while let Some(event) = next(&sink, &mut events).await {
        if is_of_best(event.as_ref()) {
            let now = of(&node);
            if now != last {
                send(&sink, &now).await?;
                last = now;
            }
        }
    }
    Ok(())
}

/// Tells the values of keys, then those that are others.
async fn tell_storage(
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
    keys: Vec<String>,
) -> Told {
    let mut events = node.events();
    let sink = pending.accept().await?;
    let read = |node: &Node| state::query(node, &keys, None).ok();
    let mut last = read(&node);
    send(&sink, &last).await?;
    while let Some(event) = next(&sink, &mut events).await {
        if !is_of_best(event.as_ref()) {
            continue;
        }
        let (Some(now), Some(before)) = (read(&node), &last) else { continue };
        let pairs = |value: &Value| value["changes"].as_array().cloned().unwrap_or_default();
        let old = pairs(before);
        let changes: Vec<Value> =
            pairs(&now).into_iter().filter(|pair| !old.contains(pair)).collect();
        if !changes.is_empty() {
            let told = serde_json::json!({ "block": now["block"], "changes": changes });
            send(&sink, &told).await?;
        }
        last = Some(now);
    }
    Ok(())
}

/// Whether the best block may be another one.
fn is_of_best(event: Option<&Event>) -> bool {
    !matches!(event, Some((_, ChainEvent::Finalized(_))))
}

/// Takes a transaction and tells where it is.
async fn watch(pending: PendingSubscriptionSink, node: Arc<Node>, bytes: Vec<u8>) -> Told {
    let taken = tokio::task::spawn_blocking(move || node.submit_and_watch(bytes)).await?;
    let mut statuses = match taken {
        Ok(statuses) => statuses,
        Err(refusal) => {
            pending.reject(refused(&refusal)).await;
            return Ok(());
        }
    };
    let sink = pending.accept().await?;
    loop {
        tokio::select! {
            () = sink.closed() => return Ok(()),
            status = statuses.recv() => {
                let Some(status) = status else { return Ok(()) };
                send(&sink, &status).await?;
            }
        }
    }
}

/// The next event; an empty one where some were missed, and none at the end.
async fn next(
    sink: &SubscriptionSink,
    events: &mut broadcast::Receiver<Event>,
) -> Option<Option<Event>> {
    tokio::select! {
        () = sink.closed() => None,
        event = events.recv() => match event {
            Ok(event) => Some(Some(event)),
            Err(RecvError::Lagged(_)) => {
                // Not those that are still there: they are older than what is told now.
                *events = events.resubscribe();
                Some(None)
            }
            Err(RecvError::Closed) => None,
        },
    }
}

async fn send(sink: &SubscriptionSink, what: &impl Serialize) -> Told {
    let raw = serde_json::value::to_raw_value(what)?;
    sink.send(SubscriptionMessage::from(raw)).await?;
    Ok(())
}
