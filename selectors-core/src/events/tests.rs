use super::{Events, Interest, Mode};

#[test]
fn four_bits_can_be_requested() {
    for bits in 0..=u16::MAX {
        let events = Events::from_bits_retain(bits);
        assert_eq!(events.can_be_requested(), bits != 0 && bits & !0x2007 == 0, "{bits:#x}");
    }
}

#[test]
fn hang_up_and_error_count_as_readiness() {
    let (read, write) = (Events::READ, Events::WRITE);
    for ended in [Events::HANGUP, Events::ERROR, Events::HANGUP | Events::ERROR] {
        assert_eq!(ended.reported(read.mask()), ended | read);
        assert_eq!(ended.reported(write.mask()), ended | write);
        assert_eq!(ended.reported((read | write).mask()), ended | read | write);
        assert_eq!(ended.reported(Events::PRIORITY.mask()), ended);
    }
    assert_eq!(Events::READ_HANGUP.reported(read.mask()), Events::READ_HANGUP | read);
    assert_eq!(Events::READ_HANGUP.reported(write.mask()), Events::empty());
    assert_eq!(read.reported(write.mask()), Events::empty());
}

#[test]
fn events_alone_are_level() {
    assert_eq!(Interest::from(Events::READ), Events::READ.with_mode(Mode::Level));
}
