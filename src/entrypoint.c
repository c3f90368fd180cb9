/* Hands registration on to Rust; without this call the linker would drop the static library. */
void R_init_samap_extendr(void *dll);
void register_extendr_panic_hook(void);

void R_init_samap(void *dll) {
    register_extendr_panic_hook();
    R_init_samap_extendr(dll);
}
