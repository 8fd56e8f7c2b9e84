//! What every selector does, on every backend of the platform and with both key
//! tables.
//!
//! A row is a function, generic over backend and table, in one of the files of
//! this folder. It is run on every pair: `rows` below is the one list of rows,
//! and at the end is the one list of pairs, with a line for each.
#![allow(unsafe_code, reason = "raw registration is part of the contract")]
#![cfg_attr(
    windows,
    allow(dead_code, unused_imports, unused_mut, reason = "some rows can't be there")
)]
#![allow(unreachable_pub, reason = "nothing here is reached from elsewhere")]

mod cpython;
mod events;
mod fairness;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
#[path = "../common/filter.rs"]
mod filter;
mod hangups;
mod ids;
mod keys;
selectors_core::if_epoll! { mod kqueue; }
selectors_core::if_kqueue! {
    #[path = "kqueue/real.rs"]
    mod kqueue;
}
mod lookups;
mod modes;
#[cfg_attr(unix, path = "../common/needs.rs")]
#[cfg_attr(windows, path = "windows/needs.rs")]
mod needs;
#[cfg(unix)]
mod nested;
#[cfg(unix)]
mod old_set;
mod owned;
mod panics;
mod pauses;
#[cfg(unix)]
mod pipes;
#[cfg(unix)]
mod pollable;
#[cfg(unix)]
mod rebuilds;
#[cfg(unix)]
mod refused;
mod register;
mod results;
#[cfg(unix)]
mod signals;
mod sources;
#[cfg(unix)]
mod statistics;
mod support;
mod time;
mod wakers;
mod walks;
#[cfg(windows)]
#[path = "windows/rows.rs"]
mod windows;
mod zombies;

/// A test for each row, in a module for each file.
macro_rules! rows {
    ($backend:ty, $table:ty => $($(#[$where:meta])? $file:ident: $($(#[$only:meta])? $row:ident),+ $(,)?;)+) => {
        $($(#[$where])?
        mod $file {
            $($(#[$only])?
            #[test]
            fn $row() {
                crate::support::run::<$backend>(crate::$file::$row::<$backend, $table>);
            })+
        })+
    };
}

/// The rows, by file.
macro_rules! pair {
    ($pair:ident, $backend:ty, $table:ty) => {
        mod $pair {
            const _: () =
                crate::owned::send::<selectors_core::Selector<$backend, std::fs::File, String, $table>>();
            rows! { $backend, $table =>
                cpython: register, unregister, unregister_after_fd_close, unregister_after_socket_close,
                    modify, modify_unregister, close, get_key, get_map, select, select_read_write,
                    context_manager, selector, empty_select, timeout, register_bad_fd,
                    empty_select_timeout,
                    #[cfg(unix)] unregister_after_fd_close_and_reuse,
                    #[cfg(unix)] fileno,
                    #[cfg(unix)] select_interrupt_exc,
                    #[cfg(unix)] select_interrupt_noraise,
                    #[cfg(unix)] above_fd_setsize,
                    #[cfg(unix)] register_file;
                register: returns_the_key, refuses_events_that_cannot_be_requested,
                    refuses_what_is_registered, a_duplicate_is_another_descriptor, full,
                    full_is_found_before_a_system_call, a_waker_uses_a_slot,
                    refuses_a_closed_descriptor,
                    #[cfg(unix)] refuses_negative_numbers,
                    #[cfg(unix)] beyond_the_limit_of_select,
                    #[cfg(unix)] the_last_number_for_select,
                    #[cfg(unix)] a_regular_file,
                    #[cfg(unix)] selectors_in_selectors;
                lookups: keys_by_number_and_by_reference, what_is_not_registered,
                    data_is_changed_without_a_system_call, the_map_is_live, debug_lists_the_keys,
                    modify_checks_the_events_first, modify_changes_the_events_and_nothing_else,
                    modify_to_the_same_makes_no_system_call, modify_fails_and_all_is_as_before,
                    unregister_drops_the_pending_event, unregister_while_looping, slots_are_used_again,
                    #[cfg(unix)] modify_of_a_replaced_descriptor,
                    #[cfg(unix)] unregister_of_a_replaced_descriptor,
                    #[cfg(unix)] a_number_used_again_within_a_batch;
                owned: every_kind_of_source, as_fd_is_called_once, close_ends_in_order,
                    drop_ends_in_order, unregister_gives_the_source_back_open,
                    a_refused_source_is_dropped_last, an_error_of_register_is_plain;
                panics: a_key_whose_drop_panics, a_selector_with_a_source_whose_drop_panics,
                    a_source_whose_as_fd_panics, an_interest_that_panics, a_drop_that_uses_the_selector;
                events: the_table, read_and_write_arrive_in_one_item,
                    an_event_is_masked_when_it_is_returned, priority_is_unsupported_or_reported,
                    #[cfg(unix)] take_error_returns_an_error_once;
                modes: level_is_reported_while_it_lasts, edge_is_reported_when_more_arrives, modify_arms_an_edge_again,
                    edge_is_unsupported_on_poll_and_select, one_shot_is_reported_once_until_modify,
                    a_fired_one_shot_reports_no_hangup, a_failed_modify_does_not_rearm,
                    modify_may_change_the_mode_alone, pending_events_survive_in_every_mode,
                    a_one_shot_modified_while_it_is_pending, a_fired_one_shot_is_registered_again,
                    a_full_table_fires_and_is_rearmed;
                wakers: ends_a_wait_under_way, before_the_wait_it_ends_the_next, a_burst_counts_as_one,
                    none_of_many_threads_is_lost, each_wake_gets_a_reply, between_two_waits,
                    while_events_are_pending, is_no_key, with_keys_that_come_and_go,
                    may_be_copied_and_sent, one_cell_for_one_selector, outlives_its_selector,
                    a_stale_one_consumes_no_wake, a_late_wake_is_not_for_the_next_selector,
                    wakes_while_selectors_come_and_go, never_blocks,
                    #[cfg(unix)] from_a_signal_handler,
                    #[cfg(unix)] is_close_on_exec;
                time: never_early, never_early_with_a_second_reader, never_early_again_and_again, one_descriptor_never_early, zero_does_not_wait,
                    readiness_comes_before_time, huge_ones_saturate, kept_with_closed_descriptors;
                fairness: equal_turns, a_batch_is_no_larger_than_said,
                    what_is_reported_once_survives_a_break, what_arrives_late_is_not_lost,
                    changes_in_between_starve_no_key, an_unregistered_key_costs_no_other_its_turn,
                    a_late_key_has_its_turn, a_wake_among_many_is_not_lost;
                zombies: a_duplicate_that_lives_on_does_not_spin, many_are_one_rebuild,
                    its_slot_is_used_again, the_others_work_on, closed_ones_do_not_break_the_others,
                    closed_after_it_fired,
                    #[cfg(unix)] its_number_is_used_again,
                    #[cfg(unix)] closed_while_its_event_is_pending,
                    #[cfg(unix)] another_file_gets_a_registered_number,
                    #[cfg(unix)] a_closed_key_is_modified_to_the_same,
                    #[cfg(unix)] the_same_file_comes_back;
                #[cfg(unix)]
                pollable: a_path_is_refused, files_that_are_always_ready,
                    a_sandbox_that_forbids_the_call;
                #[cfg(unix)]
                statistics: waits_signals_wakes_and_events;
                #[cfg(unix)]
                rebuilds: the_waker_wakes_on, a_wake_before_the_rebuild_is_reported, the_modes_survive,
                    a_fired_one_shot_whose_peer_is_closed, dead_keys_do_not_hinder_a_rebuild;
                #[cfg(unix)]
                old_set: healthy_keys_are_reported, the_timeout_is_kept_without_a_busy_loop,
                    the_timeout_is_kept_among_stale_events, a_wake_ends_the_wait,
                    a_signal_ends_the_wait, it_is_tried_again_after_a_while,
                    the_last_duplicate_is_closed, a_refused_key_is_left_out;
                #[cfg(unix)]
                nested: readiness_inside_is_reported_outside, what_is_reported_once_inside,
                    reported_once_outside, the_inner_waker_wakes_both,
                    the_outer_waker_leaves_the_inner_one_alone, the_inner_one_goes_first,
                    a_replaced_instance_is_reported, a_replaced_instance_is_nested_again;
                pauses: a_paused_key_is_not_reported, pending_events_are_dropped,
                    a_delivered_one_shot_stays_disarmed, an_edge_is_reported_again_after_a_pause,
                    modify_resumes, a_paused_key_whose_descriptor_is_closed,
                    a_rebuild_skips_paused_keys, a_loop_that_pauses_at_each_event_does_not_spin,
                    a_full_table_is_paused_and_resumed,
                    #[cfg(unix)] an_error_waits_for_the_resume,
                    #[cfg(unix)] a_resume_that_fails_leaves_it_paused;
                ids: never_name_a_later_registration, survive_what_happens_to_the_key,
                    what_is_unknown_is_not_registered,
                    #[cfg(unix)] a_number_comes_back_within_a_batch,
                    #[cfg(unix)] look_ups_accept_anything_with_a_descriptor;
                keys: a_key_reads_and_writes, a_function_takes_a_key, each_key_of_a_batch_acts;
                sources: a_replaced_source_is_followed, the_old_descriptor_may_be_closed,
                    the_old_sources_event_is_dropped, the_state_is_followed_too,
                    the_number_of_another_key, a_panic_pauses_the_key,
                    a_source_that_lies_is_watched_at_one_number,
                    #[cfg(unix)] a_source_that_cannot_be_watched;
                walks: each_key_once, keys_may_be_changed, keys_may_leave, a_walk_may_end_early,
                    a_walk_between_events, retain_keeps_what_the_function_accepts, retain_survives_a_panic;
                results: pending_events_are_counted, until_a_deadline,
                    #[cfg(unix)] the_ends_of_a_wait_are_distinguished;
                #[cfg(windows)]
                windows: a_waker_is_not_inherited,
                    a_hang_up_that_is_not_requested_does_not_end_the_wait, lists_of_sockets;
                hangups: the_end_is_reported_without_reading, with_read_it_is_requested_everywhere,
                    with_other_events, a_wait_for_one_accepts_it;
                #[cfg(unix)]
                pipes: a_reader_that_leaves_is_reported_as_long_as_it_lasts,
                    a_reader_that_leaves_is_reported_once, a_rebuild_keeps_it,
                    closed_it_is_not_reported;
            }
        }
    };
}

type Fixed = selectors_core::storage::Fixed<64>;
type Growable = selectors_std::Growable;

selectors_core::if_epoll! {
    pair! { epoll_fixed, selectors_core::backend::Epoll, crate::Fixed }
    pair! { epoll_growable, selectors_core::backend::Epoll<256>, crate::Growable }
    pair! { emulated_kqueue_fixed, crate::kqueue::Kqueue, crate::Fixed }
    pair! { emulated_kqueue_growable, crate::kqueue::Kqueue<256>, crate::Growable }
    pair! { emulated_netbsd_fixed, crate::kqueue::On<crate::kqueue::NetBsd>, crate::Fixed }
    pair! { emulated_netbsd_growable, crate::kqueue::On<crate::kqueue::NetBsd, 256>, crate::Growable }
    pair! { emulated_freebsd_fixed, crate::kqueue::On<crate::kqueue::FreeBsd>, crate::Fixed }
    pair! { emulated_freebsd_growable, crate::kqueue::On<crate::kqueue::FreeBsd, 256>, crate::Growable }
    pair! { emulated_macos_fixed, crate::kqueue::On<crate::kqueue::MacOs>, crate::Fixed }
    pair! { emulated_macos_growable, crate::kqueue::On<crate::kqueue::MacOs, 256>, crate::Growable }
    pair! { emulated_no_receipts_fixed, crate::kqueue::On<crate::kqueue::NoReceipts>, crate::Fixed }
    pair! { emulated_no_receipts_growable, crate::kqueue::On<crate::kqueue::NoReceipts, 256>, crate::Growable }
    pair! { emulated_netbsd_poll_fixed, crate::kqueue::NetBsdPoll<crate::Fixed>, crate::Fixed }
    pair! { emulated_netbsd_poll_growable, crate::kqueue::NetBsdPoll<crate::Growable>, crate::Growable }
    pair! { emulated_netbsd_select_fixed, crate::kqueue::NetBsdSelect<crate::Fixed>, crate::Fixed }
    pair! { emulated_netbsd_select_growable, crate::kqueue::NetBsdSelect<crate::Growable>, crate::Growable }
    pair! { emulated_freebsd_poll_growable, crate::kqueue::FreeBsdPoll<crate::Growable>, crate::Growable }
    pair! { emulated_macos_poll_fixed, crate::kqueue::MacOsPoll<crate::Fixed>, crate::Fixed }
}
selectors_core::if_kqueue! {
    pair! { kqueue_fixed, selectors_core::backend::Kqueue, crate::Fixed }
    pair! { kqueue_growable, selectors_core::backend::Kqueue<256>, crate::Growable }
}
selectors_core::if_select! {
    pair! { select_fixed, selectors_core::backend::Select<crate::Fixed>, crate::Fixed }
    pair! { select_growable, selectors_core::backend::Select<crate::Growable>, crate::Growable }
}
pair! { poll_fixed, selectors_core::backend::Poll<crate::Fixed>, crate::Fixed }
pair! { poll_growable, selectors_core::backend::Poll<crate::Growable>, crate::Growable }
pair! { any_fixed, selectors_core::backend::Any<crate::Fixed>, crate::Fixed }
pair! { any_growable, selectors_core::backend::Any<crate::Growable, 256>, crate::Growable }

/// The rows of one pair, one after the other, which lets `support::run` compare
/// what is open before and after each of them.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn rows_leave_no_descriptors_open() {
    let mut rows = std::process::Command::new(std::env::current_exe().unwrap());
    rows.args(["--test-threads=1", "emulated_freebsd_growable::"]);
    rows.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let start = support::STARTS.write().unwrap();
    let child = rows.spawn().unwrap();
    drop(start);
    let done = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && shown.contains(" passed"), "{shown}");
}

/// The page on portability names rows that are there.
#[test]
fn the_page_on_portability_names_tests() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let page = read("selectors-core/src/portability.md");
    let names: Vec<&str> =
        page.split('`').skip(1).step_by(2).filter(|code| code.contains("::")).collect();
    assert!(names.len() > 20);
    for name in names {
        let (file, row) = match name.rsplit_once("::").unwrap() {
            ("kqueue", file) => (format!("kqueue::{file}"), ""),
            (file, row) => (file.to_owned(), row),
        };
        let source = read(&format!("tests/contract/{}.rs", file.replace("::", "/")));
        assert!(row.is_empty() || source.contains(&format!("fn {row}")), "{name}");
    }
}
