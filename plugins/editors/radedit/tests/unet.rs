//! Every part of the UNet against the reference.
