//! Java stack traces: one line of the logger, one of the exception, four frames.

use super::{Draft, TimeField};
use crate::random::Random;

/// Lines of one trace.
pub(super) const TRACE_LINES: usize = 6;

const THREADS: [&str; 4] = ["http-nio-8080-exec-3", "scheduling-1", "kafka-consumer-0", "main"];

const EXCEPTIONS: [&str; 5] = [
    "java.lang.IllegalStateException: order is closed",
    "java.net.SocketTimeoutException: Read timed out",
    "org.example.shop.StockException: nothing left of item",
    "java.lang.NullPointerException: Cannot invoke \"Cart.items()\" because \"cart\" is null",
    "java.util.concurrent.TimeoutException: no answer within 2000 ms",
];

const FRAMES: [&str; 10] = [
    "org.example.shop.checkout.PaymentService.authorise(PaymentService.java:",
    "org.example.shop.checkout.CheckoutController.confirm(CheckoutController.java:",
    "org.example.shop.stock.StockRepository.reserve(StockRepository.java:",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:",
    "java.base/java.lang.reflect.Method.invoke(Method.java:",
    "org.springframework.web.servlet.DispatcherServlet.doDispatch(DispatcherServlet.java:",
    "org.apache.catalina.core.StandardWrapperValve.invoke(StandardWrapperValve.java:",
    "org.example.shop.search.QueryParser.parse(QueryParser.java:",
    "java.base/jdk.internal.net.http.HttpClientImpl.send(HttpClientImpl.java:",
    "org.example.shop.users.SessionStore.load(SessionStore.java:",
];

/// Composes line `index` of a pool, of which each trace takes [`TRACE_LINES`].
pub(super) fn compose(random: &mut Random, index: usize, draft: &mut Draft) {
    match index % TRACE_LINES {
        0 => {
            draft.time(TimeField::JavaMillis).push(" ERROR [").push(random.pick(&THREADS));
            draft.push("] org.example.shop.Errors - request ").number(random.below(1_000_000));
            draft.push(" failed");
        }
        1 => {
            draft.push(random.pick_skewed(&EXCEPTIONS));
        }
        _ => {
            draft.push("\tat ").push(random.pick_skewed(&FRAMES));
            draft.number(random.skewed_below(900)).push(")");
        }
    }
    draft.token();
}
