# What people do here. `just` lists it.

target_dir := env('CARGO_TARGET_DIR', 'target')
target := `rustc -vV | sed -n 's/^host: //p'`

default:
    @just --list

# Quick look: does it compile, is it formatted, do the lints agree
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Unit and command tests (no machines)
test *filter:
    cargo test {{ filter }}

# Two real machines (root, Debian); `just pair tamper` for one chapter
pair *filter:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target {{ target }}
    OTR_BIN={{ target_dir }}/{{ target }}/release/otr cargo test --test pair -- {{ filter }}

# A binary that runs on machines with an older C library too
static:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target {{ target }}

# What people download, in target/dist: archive, packages, bill of materials, checksums. Needs what
# packaging/dist names; `just dist aarch64` needs gcc-aarch64-linux-gnu too, and the target's std
dist machine=arch():
    packaging/build {{ machine }}
    packaging/sbom {{ target_dir }}/dist {{ machine }}
    OTR_DIST_HELP={{ target_dir / arch() + "-unknown-linux-gnu/dist/otr" }} \
        packaging/dist {{ target_dir / machine + "-unknown-linux-gnu/dist/otr" }} {{ target_dir }}/dist

# The Ansible collection, with this machine's otr in it
collection: static
    install -m755 {{ target_dir }}/{{ target }}/release/otr ansible/bin/otr-{{ arch() }}
    ansible-galaxy collection build -f --output-path {{ target_dir }} ansible/

# The simulated pair: plan, apply, power cut, promote
demo:
    cargo run --locked -- demo

# Boot the machines for a look around: erp1 a production, erp2 bare
lab-up:
    tests/pair/lab.sh deps
    tests/pair/lab.sh base
    tests/pair/lab.sh up erp1:prod erp2:min

# The machines away; `just lab-destroy --all` removes their layers too
lab-destroy *all:
    tests/pair/lab.sh destroy {{ all }}

# A plan of 200 resources beside ansible and pyinfra, 20 ms away (root; some minutes)
bench-plan:
    cargo build --release --locked
    benches/plan/run

# The same 200 resources in a playbook: built-in modules against the collection (root; some minutes)
bench-ansible:
    cargo build --release --locked
    benches/ansible/run

# What CI runs
ci:
    .ci/run
