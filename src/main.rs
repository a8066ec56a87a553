//! The `postrider` program.

fn main() {
    postrider::db::embedded::exec::handle();
}
