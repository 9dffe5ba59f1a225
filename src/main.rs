//! The binary: nothing but the way into `rebated::cli`.

// Lines travel between threads by the million; the system's allocator takes a lock for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    rebated::cli::main()
}
