#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tljournal_tests::hostile::rows(bytes));
