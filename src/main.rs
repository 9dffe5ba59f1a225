//! The binary: nothing but the way into `rebated::cli`.

fn main() -> std::process::ExitCode {
    rebated::cli::main()
}
