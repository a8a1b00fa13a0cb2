//! What a panic that was caught has to say.

use std::any::Any;

/// Its message, if it has one.
pub(crate) fn text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_whether_it_was_formatted_or_not() {
        assert_eq!(text(&"plain"), Some("plain"));
        assert_eq!(text(&"formatted".to_owned()), Some("formatted"));
        assert_eq!(text(&7_u8), None);
    }
}
