//! meta-service
