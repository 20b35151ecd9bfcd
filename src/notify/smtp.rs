//! The worker that sends due mail by SMTP. Text messages wait for a gateway; they are refused when they are asked for.
