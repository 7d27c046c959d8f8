/* AP-REQs made and accepted per second by MIT's GSS-API: the peer for crates/kerberos/benches/ap.rs.
 *
 *   cc -O2 -o mit_ap mit_ap.c -lgssapi_krb5
 *   KRB5CCNAME=FILE:cache KRB5_KTNAME=keytab KRB5RCACHENAME=none: ./mit_ap HTTP@servera.hop.test [SECONDS]
 *
 * One round: a new initiator context (mutual authentication), its acceptance, and the answer taken by the initiator.
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void must(OM_uint32 major, OM_uint32 minor, const char *what) {
  if (!GSS_ERROR(major)) return;
  OM_uint32 more = 0, ignored;
  gss_buffer_desc text;
  gss_display_status(&ignored, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &text);
  fprintf(stderr, "%s: %.*s\n", what, (int)text.length, (char *)text.value);
  exit(1);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  double seconds = argc > 2 ? atof(argv[2]) : 3;
  OM_uint32 major, minor;
  gss_buffer_desc name_text = {strlen(argv[1]), argv[1]};
  gss_name_t name;
  major = gss_import_name(&minor, &name_text, GSS_C_NT_HOSTBASED_SERVICE, &name);
  must(major, minor, "name");
  gss_cred_id_t mine, theirs;
  major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_INITIATE, &mine, NULL, NULL);
  must(major, minor, "initiator credential");
  major = gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, GSS_C_ACCEPT, &theirs, NULL, NULL);
  must(major, minor, "acceptor credential");
  double make = 0, accept = 0, start = now();
  long rounds = 0;
  while (now() - start < seconds) {
    gss_ctx_id_t i = GSS_C_NO_CONTEXT, a = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER, none = GSS_C_EMPTY_BUFFER;
    double t0 = now();
    major = gss_init_sec_context(&minor, mine, &i, name, (gss_OID)gss_mech_krb5,
                                 GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG,
                                 0, GSS_C_NO_CHANNEL_BINDINGS, GSS_C_NO_BUFFER, NULL, &token, NULL, NULL);
    must(major, minor, "init");
    double t1 = now();
    major = gss_accept_sec_context(&minor, &a, theirs, &token, GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &reply, NULL, NULL, NULL);
    must(major, minor, "accept");
    double t2 = now();
    major = gss_init_sec_context(&minor, mine, &i, name, (gss_OID)gss_mech_krb5, GSS_C_MUTUAL_FLAG, 0,
                                 GSS_C_NO_CHANNEL_BINDINGS, &reply, NULL, &none, NULL, NULL);
    must(major, minor, "finish");
    make += t1 - t0 + (now() - t2);
    accept += t2 - t1;
    rounds++;
    gss_release_buffer(&minor, &token);
    gss_release_buffer(&minor, &reply);
    gss_delete_sec_context(&minor, &i, NULL);
    gss_delete_sec_context(&minor, &a, NULL);
  }
  printf("make %.0f/s accept %.0f/s (%ld rounds)\n", rounds / make, rounds / accept, rounds);
  return 0;
}
