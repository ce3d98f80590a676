#!/usr/bin/env bash
# Runs the fuzzers, one after the other, for FUZZ_SECONDS each (60), beginning with the corpus of the
# repository. FUZZ_TARGETS: only these. FUZZ_FEATURES: mutants, together with LOGFERRY_MUTANT.
# Ends with a line for each: executions, coverage, seconds, commit.
#
# New inputs are kept in .cache/fuzz. One that makes a fuzzer fail is in fuzz/artifacts: put it into
# fuzz/corpus/<target>, and cargo test fails until it is mended.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.13.2
tool=$PWD/.cache/cargo-fuzz-$version
if [[ ! -x $tool/bin/cargo-fuzz ]]; then
    "${CARGO:-cargo}" install --quiet --locked --root "$tool" --version $version cargo-fuzz
fi

# With nightly, AddressSanitizer looks at what unsafe code of dependencies does. What our oracles find
# does not need it, and so stable does without.
toolchain=${FUZZ_TOOLCHAIN:-nightly}
cargo "+$toolchain" --version >/dev/null 2>&1 || toolchain=$(rustup show active-toolchain | cut -d' ' -f1)
case $toolchain in
    nightly*) sanitizer=address ;;
    *) sanitizer=none ;;
esac
# C that is compiled for a dependency is linked by another one's build script, which knows of no sanitizer.
export CFLAGS="${CFLAGS:-} -fno-sanitize=all" CXXFLAGS="${CXXFLAGS:-} -fno-sanitize=all"
# Optimising each fuzzer as a whole would take longer than its run.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export RUSTUP_TOOLCHAIN=$toolchain PATH=$tool/bin:$PATH RUST_BACKTRACE=0

seconds=${FUZZ_SECONDS:-60}
all=$(sed -n '/^\[\[bin\]\]/{n;s/^name = "\(.*\)"/\1/p}' fuzz/Cargo.toml)
read -ra targets <<<"$(echo ${FUZZ_TARGETS:-$all})"
options=(--fuzz-dir fuzz --features "libfuzzer ${FUZZ_FEATURES:-}" --sanitizer "$sanitizer" --target-dir target/fuzz)
for target in "${targets[@]}"; do
    cargo fuzz build "${options[@]}" "$target"
done

commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
for target in "${targets[@]}"; do
    found=.cache/fuzz/$target log=.cache/fuzz/$target.log
    mkdir -p "$found"
    echo "fuzz: $target, $seconds s, $toolchain, sanitizer $sanitizer"
    outcome=passed begin=$SECONDS
    cargo fuzz run "${options[@]}" "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        >"$log" 2>&1 || outcome=FAILED
    took=$((SECONDS - begin))
    if [[ $outcome = FAILED ]]; then
        status=1
        grep -a -A 8 -E 'panicked at|^==[0-9]+== ?ERROR' "$log" | grep -av '^ *#' >&2 || tail -n 20 "$log" >&2
        grep -a -m 1 -E '^[[:space:]]+fuzz/artifacts/' "$log" >&2 || true
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.*cov: \([0-9]*\) ft: \([0-9]*\) .*/\1 edges, \2 features/p' "$log" | tail -n 1)
    echo "fuzzed: $target: ${executions:-0} executions, ${coverage:-no coverage}, $took s, commit $commit: $outcome" >>"$report"
done
echo
cat "$report"
exit $status
