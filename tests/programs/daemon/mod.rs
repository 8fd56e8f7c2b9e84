//! The daemon without std, and the one with std, as processes that real clients
//! talk to.
//!
//! `DAEMON=PATH` names a daemon that has been built already, perhaps for
//! another processor, and `DAEMON_RUNNER` what runs it, as in
//! `DAEMON_RUNNER=qemu-aarch64`; `.ci/daemon` does so. Then `no_std` is the
//! part to run:
//!
//! ```sh
//! DAEMON=… DAEMON_RUNNER=qemu-aarch64 \
//!     cargo test --test programs daemon::no_std
//! ```

mod figures;
mod service;
mod subject;

/// What both daemons must do.
macro_rules! services {
    ($subject:path) => {
        #[test]
        fn peers_that_find_no_slot_wait_and_none_is_lost() {
            service::crowd($subject());
        }

        #[test]
        fn ten_megabytes_come_back_to_each_slow_reader() {
            service::slow_readers($subject());
        }

        #[test]
        fn idle_peers_are_closed_and_busy_ones_are_not() {
            service::idle_peers($subject());
        }

        #[test]
        fn the_control_channel_replies_and_ends_the_daemon() {
            service::control($subject());
        }

        #[test]
        fn resets_free_their_slots() {
            service::resets($subject());
        }

        #[test]
        fn half_closed_peers_get_the_rest_of_their_echo() {
            service::half_closed($subject());
        }

        #[test]
        fn without_descriptors_the_daemon_waits_for_some() {
            service::starvation($subject());
        }

        #[test]
        fn an_idle_daemon_costs_nothing() {
            figures::processor_time($subject());
        }
    };
}

mod no_std {
    use super::subject::no_std;
    use super::{figures, service};

    services!(no_std);

    #[test]
    #[ignore = "depends on the compiler: checked by .ci/run"]
    fn it_fits() {
        figures::memory(no_std());
    }

    #[test]
    fn it_starts_with_few_system_calls() {
        figures::system_calls(no_std());
    }
}

mod with_std {
    use super::subject::with_std;
    use super::{figures, service};

    services!(with_std);

    #[test]
    fn its_figures_next_to_those_without_std() {
        figures::memory(with_std());
        figures::system_calls(with_std());
    }
}
