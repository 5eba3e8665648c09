//! Typed settings, and the catalogue, routes and access levels as data.
