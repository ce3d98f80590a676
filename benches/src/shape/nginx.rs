//! Access lines of nginx, format `combined` with request and upstream time behind it.

use super::{Draft, TimeField};
use crate::random::Random;

/// Visitors that a pool knows.
const VISITORS: u32 = 6_000;

const METHODS: [&str; 8] = ["GET", "GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"];

const PATHS: [&str; 20] = [
    "/api/v1/products/",
    "/api/v1/cart/items/",
    "/api/v1/search/suggest/",
    "/api/v1/users/profile/",
    "/assets/js/vendor.bundle.min.js?v=",
    "/assets/css/main.css?v=",
    "/images/products/thumbnail/",
    "/api/v1/orders/",
    "/checkout/payment/confirm/",
    "/api/v2/recommendations/",
    "/blog/2026/how-we-made-search-fast/",
    "/api/v1/inventory/warehouse/",
    "/static/fonts/inter-latin-400.woff2?v=",
    "/healthz?probe=",
    "/api/v1/sessions/refresh/",
    "/category/home-and-garden/",
    "/category/electronics/audio/",
    "/api/v1/reviews/product/",
    "/account/settings/notifications/",
    "/metrics/vitals?id=",
];

const STATUSES: [&str; 10] = ["200", "200", "200", "200", "304", "200", "201", "404", "302", "502"];

const REFERRERS: [&str; 8] = [
    "-",
    "https://www.shop.example/",
    "https://www.shop.example/category/electronics/audio/",
    "https://www.shop.example/search?q=headphones",
    "https://search.example/",
    "https://www.shop.example/cart",
    "https://www.shop.example/blog/",
    "https://news.example/best-deals-of-the-week",
];

const BROWSERS: [&str; 12] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) \
     AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) \
     AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) \
     AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) \
     AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "ShopApp/8.14.2 (Android 15; SM-S921B; build 81402)",
    "ShopApp/8.14.1 (iOS 19.1; iPhone17,1; build 81398)",
    "Mozilla/5.0 (compatible; Bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "kube-probe/1.34",
    "python-requests/2.32.5",
    "curl/8.16.0 (x86_64-pc-linux-gnu)",
];

pub(super) fn compose(random: &mut Random, draft: &mut Draft) {
    address(random, draft);
    draft.push(" - - [").time(TimeField::Nginx).push("] \"");
    draft.push(random.pick(&METHODS)).push(" ");
    draft.push(random.pick(&PATHS)).number(10_000 + random.below(80_000));
    draft.push(" HTTP/1.1\" ").push(random.pick_skewed(&STATUSES)).push(" ");
    draft.number(random.below(60_000)).push(" \"");
    draft.push(random.pick(&REFERRERS)).push("\" \"");
    draft.push(random.pick(&BROWSERS)).push("\" ");
    let upstream_ms = random.below(900);
    let request_ms = upstream_ms + random.skewed_below(30);
    draft.push(&format!("0.{request_ms:03} 0.{upstream_ms:03}")).token();
}

/// An address out of [`VISITORS`], in the networks that documentation and tests are free to use.
fn address(random: &mut Random, draft: &mut Draft) {
    let visitor = random.skewed_below(VISITORS);
    let spread = visitor.wrapping_mul(2_654_435_761) >> 8;
    let host = (spread & 0xff, spread >> 8 & 0xff);
    draft.push(if visitor.is_multiple_of(5) { "10.24." } else { "198.18." });
    draft.number(host.0).push(".").number(host.1);
}
