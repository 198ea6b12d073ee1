//! otr: a standby you can trust.
//!
//! # The map of the program
//!
//! ```text
//! spec ─▶ wanted ─▶ looks ══▶ facts ─▶ plan ─▶ check ══▶ actions ─▶ report
//!          (pure)        (I/O, one trip)   (pure)      (I/O)      (one type)
//! ```
//!
//! # The allowed arrows
//!
//! A module uses those to its right and no others; `tests/layers.rs` reads this table and
//! compares it with the code. Two pairs point both ways: a spec's check renders its templates,
//! which see the spec; and `report` renders what a promotion returns, whose steps carry the
//! outcomes of `report`.
//!
//! ```text
//! name     ->
//! record   ->
//! secret   ->
//! format   -> secret
//! look     -> name record secret
//! action   -> guard look name record secret
//! facts    -> look name record secret
//! epoch    -> facts name
//! guard    -> epoch name spec
//! session  -> secret
//! storage  ->
//! spec     -> look name secret session storage template
//! template -> name secret spec
//! resource -> action epoch facts format guard look name secret spec storage
//! wanted   -> action guard look name resource secret session spec storage
//! plan     -> action epoch facts look name resource spec
//! status   -> epoch facts history look name plan resource spec wanted
//! compare  -> facts format look name resource secret
//! draft    -> format look name secret session
//! doctor   -> facts look name report resource spec wanted
//! sessions -> facts look name spec wanted
//! history  -> name record spec
//! filestore -> action look name
//! host     -> action epoch filestore format guard look name record secret spec storage
//! fleet    -> action facts host look name
//! report   -> action compare draft drill name plan promote resource secret sessions status
//! converge -> action facts fleet host look name plan report resource spec storage
//! sync     -> action converge fleet look name plan report resource spec wanted
//! promote  -> action converge epoch facts fleet guard history host look name plan record report resource secret spec wanted
//! drill    -> action converge facts fleet format history look name plan promote resource secret session spec wanted
//! cli      -> name
//! command  -> action cli compare converge doctor draft drill epoch facts filestore fleet format guard history host look name plan promote record report resource secret sessions spec status sync template wanted
//! ```
//!
//! No file, process, clock or environment variable is touched in these (`action` is not among
//! them for one line: it reads otr's own program, to install it on a standby):
//!
//! ```text
//! pure: compare doctor draft epoch facts format guard look name plan record report resource session sessions status storage wanted
//! ```

pub mod action;
pub mod cli;
pub mod command;
pub mod compare;
pub mod converge;
pub mod doctor;
pub mod draft;
pub mod drill;
pub mod epoch;
pub mod facts;
pub mod filestore;
pub mod fleet;
pub mod format;
pub mod guard;
pub mod history;
pub mod host;
pub mod look;
pub mod name;
pub mod plan;
pub mod promote;
pub mod record;
pub mod report;
pub mod resource;
pub mod secret;
pub mod session;
pub mod sessions;
pub mod spec;
pub mod status;
pub mod storage;
pub mod sync;
pub mod template;
pub mod wanted;
