//! sfu-service
