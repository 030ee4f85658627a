//! signaling-service
