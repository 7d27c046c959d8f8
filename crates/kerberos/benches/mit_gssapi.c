/* The work of benches/ap.rs with MIT's GSS-API: tokens made and accepted in a second.
 *
 *   dir=$(mktemp -d)
 *   cargo run --release -p hop-kerberos --example gss_files "$dir"
 *   cc -O2 -o "$dir/bench" crates/kerberos/benches/mit_gssapi.c -lgssapi_krb5
 *   KRB5_CONFIG=$dir/krb5.conf KRB5_KTNAME=$dir/keytab KRB5CCNAME=$dir/ccache "$dir/bench"
 *   (and again with KRB5RCACHENAME=none: to leave out its replay cache on disk)
 *
 * Credentials are acquired once, as a server would; making a token includes MIT finding the ticket in its cache. */
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 2000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(OM_uint32 major, OM_uint32 minor, const char *what)
{
    if (GSS_ERROR(major)) {
        fprintf(stderr, "%s: %x %x\n", what, major, minor);
        exit(1);
    }
}

int main(void)
{
    OM_uint32 major, minor, flags = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG;
    gss_buffer_desc name = {34, "HTTP/servera.test.realm@TEST.REALM"};
    gss_name_t target;
    gss_cred_id_t client, server;
    double making = 0, accepting = 0;

    major = gss_import_name(&minor, &name, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, &target);
    check(major, minor, "name");
    major = gss_acquire_cred(&minor, GSS_C_NO_NAME, 0, GSS_C_NO_OID_SET, GSS_C_INITIATE, &client, NULL, NULL);
    check(major, minor, "client");
    major = gss_acquire_cred(&minor, target, 0, GSS_C_NO_OID_SET, GSS_C_ACCEPT, &server, NULL, NULL);
    check(major, minor, "server");
    for (int i = 0; i < ROUNDS; i++) {
        gss_ctx_id_t a = GSS_C_NO_CONTEXT, b = GSS_C_NO_CONTEXT;
        gss_buffer_desc token = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER;
        double t0 = now(), t1;

        major = gss_init_sec_context(&minor, client, &a, target, (gss_OID)gss_mech_krb5, flags, 0, NULL, NULL, NULL, &token, NULL, NULL);
        check(major, minor, "init");
        t1 = now();
        major = gss_accept_sec_context(&minor, &b, server, &token, NULL, NULL, NULL, &reply, NULL, NULL, NULL);
        check(major, minor, "accept");
        accepting += now() - t1;
        making += t1 - t0;
        gss_release_buffer(&minor, &token);
        gss_release_buffer(&minor, &reply);
        gss_delete_sec_context(&minor, &a, NULL);
        gss_delete_sec_context(&minor, &b, NULL);
    }
    printf("make %.1f us, accept %.1f us\n", making / ROUNDS * 1e6, accepting / ROUNDS * 1e6);
    return 0;
}
