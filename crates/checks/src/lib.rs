//! The fuzz targets of all crates in one table: `tests/fuzz.rs` runs them over their corpora, `fuzz/` under a
//! coverage-guided fuzzer.
#![forbid(unsafe_code)]

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Target {
    /// The folder of the crate under `crates/`.
    pub of: &'static str,
    /// The function's name without `fuzz_`; its corpus is `crates/OF/tests/corpus/NAME`.
    pub name: &'static str,
    /// Decodes, and where that succeeds encodes and decodes again; panics where the two differ.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($folder:literal $module:path { $($name:literal $function:ident),* $(,)? })*) => {
        /// Every target there is; `tests/fuzz.rs` checks that none is missing.
        pub const TARGETS: &[Target] = &[$($({
            use $module as module;
            Target { of: $folder, name: $name, run: module::$function }
        }),*),*];
    };
}

targets! {
    "auth" hop_auth::fuzz {
        "certificate" fuzz_certificate, "headers" fuzz_headers, "negotiation" fuzz_negotiation, "ntlm" fuzz_ntlm,
        "ntlm_verifiers" fuzz_ntlm_verifiers, "sealed_body" fuzz_sealed_body, "spnego" fuzz_spnego,
        "ts_request" fuzz_ts_request
    }
    "clixml" hop_clixml::fuzz { "document" fuzz_document, "value" fuzz_value }
    "delegation" hop_delegation::fuzz {
        "reason" fuzz_reason, "refusals" fuzz_refusals, "session_report" fuzz_session_report
    }
    "kerberos" hop_kerberos::fuzz {
        "ccache" fuzz_ccache, "gss_checksum" fuzz_gss_checksum, "gss_token" fuzz_gss_token, "message" fuzz_message,
        "principal" fuzz_principal, "keytab" fuzz_keytab, "krb5_conf" fuzz_krb5_conf, "kdc_request" fuzz_kdc_request,
        "kdc_proxy" fuzz_kdc_proxy,
        "pac" fuzz_pac, "s4u_padata" fuzz_s4u_padata, "transited" fuzz_transited
    }
    "kerberos-io" hop_kerberos_io::fuzz { "kcm_answer" fuzz_kcm_answer, "keyring_payload" fuzz_keyring_payload }
    "policy" hop_policy::fuzz {
        "gp_link" fuzz_gp_link, "ldif" fuzz_ldif, "registry_pol" fuzz_registry_pol,
        "security_descriptor" fuzz_security_descriptor, "settings" fuzz_settings
    }
    "powershell-syntax" hop_powershell_syntax::fuzz { "script" fuzz_script }
    "psrp" hop_psrp::fuzz {
        "client" fuzz_client, "client_lines" fuzz_client_lines, "describe" fuzz_describe,
        "fragments" fuzz_fragments, "message" fuzz_message, "packets" fuzz_packets, "server" fuzz_server,
        "server_lines" fuzz_server_lines
    }
    "server" hop_server::fuzz {
        "bridge" fuzz_bridge, "ipc_reply" fuzz_ipc_reply, "ipc_request" fuzz_ipc_request, "ticket_notice" fuzz_ticket_notice,
        "ticket_order" fuzz_ticket_order
    }
    "wsman" hop_wsman::fuzz { "request" fuzz_request, "response" fuzz_response }
}
