//! Lines of an application that logs JSON objects; some have text beyond ASCII.

use super::{Draft, TimeField};
use crate::random::Random;

const LEVELS: [&str; 5] = ["info", "info", "debug", "warn", "error"];

const LOGGERS: [&str; 6] = [
    "shop.checkout.payment",
    "shop.cart.service",
    "shop.search.index",
    "shop.users.session",
    "shop.orders.worker",
    "shop.http.server",
];

const EVENTS: [&str; 10] = [
    "request finished",
    "payment authorised by provider",
    "cache miss, loading from store",
    "order placed",
    "retrying upstream call after time-out",
    "session refreshed",
    "index segment merged",
    "stock reserved in warehouse",
    "message published to topic",
    "slow query",
];

const CITIES: [&str; 6] = ["Berlin", "Zürich", "São Paulo", "東京", "Kraków", "Oslo"];

pub(super) fn compose(random: &mut Random, draft: &mut Draft) {
    draft.push("{\"ts\":\"").time(TimeField::Rfc3339Millis).push("\",\"level\":\"");
    draft.push(random.pick_skewed(&LEVELS)).push("\",\"logger\":\"");
    draft.push(random.pick_skewed(&LOGGERS)).push("\",\"trace_id\":\"");
    draft.push(&format!("{:016x}", random.next_u64())).push("\",\"user\":");
    draft.number(random.skewed_below(50_000)).push(",\"city\":\"");
    draft.push(random.pick_skewed(&CITIES)).push("\",\"duration_ms\":");
    draft.number(random.skewed_below(900)).push(",\"msg\":\"");
    draft.push(random.pick_skewed(&EVENTS)).token().push("\"}");
}
