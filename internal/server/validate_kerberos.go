package server

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/record"
)

const (
	pathKerberos      = "identity.kerberos"
	pathKeytab        = pathKerberos + ".keytabSecretRef"
	pathKrb5Conf      = pathKerberos + ".krb5ConfSecretRef"
	pathMachine       = pathKerberos + ".machineAccount"
	pathMachineSecret = pathMachine + ".secretRef"
	pathMachineKeytab = pathMachine + ".keytabSecretRef"
)

// Kerberos is how clients authenticate by tickets.
type Kerberos struct {
	Enabled bool
	// Kept is true if it is off, and the pod keeps what the server does not start
	// without: it goes on with Kerberos by its own copy of the configuration.
	Kept bool

	ServicePrincipal string
	Realm            string
	NetBIOSDomain    string
	DNSDomain        string
	// Krb5ConfPath is a file of the image; empty for that of Krb5Conf or, without
	// one, the function's own.
	Krb5ConfPath string

	Keytab   record.SecretKey
	Krb5Conf record.SecretKey
	Machine  MachineAccount
}

// MachineAccount is the server's account in Active Directory.
type MachineAccount struct {
	Enabled     bool
	AccountName string
	DCAddress   []string
	Secret      record.SecretKey
	Keytab      record.SecretKey
}

// OwnKrb5Conf reports whether the server reads the function's own krb5.conf.
func (k Kerberos) OwnKrb5Conf() bool {
	return (k.Enabled || k.Kept) && k.Krb5ConfPath == "" && k.Krb5Conf == record.SecretKey{}
}

// Config returns the section of config.yaml, whose names are those of the REST API.
// Paths are the file's, whatever the server has kept.
// Source: dittofs v0.29.0 pkg/config/config.go, cmd/dfs/commands/start.go.
func (k Kerberos) Config() map[string]any {
	out := map[string]any{"enabled": k.Enabled, "keytab_path": KeytabFile}
	switch {
	case k.Krb5Conf != record.SecretKey{}:
		out["krb5_conf"] = Krb5ConfFile
	case k.Krb5ConfPath != "":
		out["krb5_conf"] = k.Krb5ConfPath
	case k.Enabled:
		out["krb5_conf"] = OwnKrb5ConfFile
	}
	for key, v := range map[string]string{"service_principal": k.ServicePrincipal, "realm": k.Realm, "netbios_domain": k.NetBIOSDomain, "dns_domain": k.DNSDomain} {
		if v != "" {
			out[key] = v
		}
	}
	if m := k.Machine; m.Enabled {
		account := map[string]any{"enabled": true, "account_name": m.AccountName}
		if m.Keytab != (record.SecretKey{}) {
			account["keytab_path"] = MachineKeytabFile
		}
		if len(m.DCAddress) > 0 {
			addresses := make([]any, len(m.DCAddress))
			for i, a := range m.DCAddress {
				addresses[i] = a
			}
			account["dc_address"] = addresses
		}
		out["machine_account"] = account
	}
	return out
}

// kerberos decides how clients authenticate by tickets. What is wrong in a block that
// is switched off is not told.
func (v *validator) kerberos() {
	spec := or(or(v.spec.Identity, v1alpha1.IdentityConfig{}).Kerberos, v1alpha1.KerberosConfig{})
	if !spec.Enabled {
		return
	}
	v.notSwitchedOff(pathKerberos, spec.SwitchedOff)
	_, realm, _ := strings.Cut(spec.ServicePrincipal, "@")
	k := Kerberos{
		Enabled: true, ServicePrincipal: spec.ServicePrincipal, Realm: cmp.Or(spec.Realm, realm),
		NetBIOSDomain: spec.NetBIOSDomain, DNSDomain: spec.DNSDomain,
	}
	v.notBlank(pathKerberos+".servicePrincipal", k.ServicePrincipal, "the server's principal, such as nfs/files.example.com@EXAMPLE.COM")
	if p := k.ServicePrincipal; strings.TrimSpace(p) != "" && !principalPattern.MatchString(p) {
		v.invalid(pathKerberos+".servicePrincipal", p, "must be SERVICE/HOST@REALM, such as nfs/files.example.com@EXAMPLE.COM")
	}
	v.without(pathKerberos+".realm", k.Realm, "@/ ", "must be a realm, such as EXAMPLE.COM, without @, / and spaces")
	v.without(pathKerberos+".netbiosDomain", k.NetBIOSDomain, ".@/ ", "must be one label, such as EXAMPLE, without dots, @, / and spaces")
	v.without(pathKerberos+".dnsDomain", k.DNSDomain, "@/ ", "must be a domain, such as example.com, without @, / and spaces")
	if spec.KeytabSecretRef == nil {
		v.required(pathKeytab, "the Secret with the keytab of the principal")
	} else {
		k.Keytab = v.secretRef(pathKeytab, spec.KeytabSecretRef, "")
	}
	if spec.Krb5ConfSecretRef != nil {
		k.Krb5Conf = v.secretRef(pathKrb5Conf, spec.Krb5ConfSecretRef, "krb5.conf")
	} else {
		k.Krb5ConfPath = spec.Krb5Conf
	}
	if k.Realm == "" && k.OwnKrb5Conf() && principalPattern.MatchString(k.ServicePrincipal) {
		v.required(pathKerberos+".realm", "the realm, such as EXAMPLE.COM: the principal does not end in one, and no krb5.conf of yours has it")
	}
	v.machineAccount(&k, or(spec.MachineAccount, v1alpha1.MachineAccountConfig{}))
	v.s.Kerberos = k
}

func (v *validator) machineAccount(k *Kerberos, spec v1alpha1.MachineAccountConfig) {
	if !spec.Enabled {
		return
	}
	k.Machine = MachineAccount{Enabled: true, AccountName: spec.AccountName, DCAddress: spec.DCAddress}
	v.notBlank(pathMachine+".accountName", spec.AccountName, "the account of the computer, such as FILES$")
	if a := spec.AccountName; strings.TrimSpace(a) != "" && !strings.HasSuffix(a, "$") {
		v.warn(pathMachine+".accountName", "does not end in $, as the account of a computer does; check for a typo")
	}
	for i, a := range spec.DCAddress {
		if !isHostPort(a) {
			v.invalid(fmt.Sprintf("%s.dcAddress[%d]", pathMachine, i), a, "must be a host or an address, with a port or without, such as dc1.example.com")
		}
	}
	if spec.SecretRef != nil {
		k.Machine.Secret = v.secretRef(pathMachineSecret, spec.SecretRef, "")
	}
	if spec.KeytabSecretRef != nil {
		k.Machine.Keytab = v.secretRef(pathMachineKeytab, spec.KeytabSecretRef, "")
	}
	switch {
	case spec.SecretRef == nil && spec.KeytabSecretRef == nil:
		v.required(pathMachineSecret, "the Secret with the password of the account, or keytabSecretRef")
	case spec.SecretRef == nil:
		// Source: dittofs v0.29.0 cmd/dfs/commands/netlogon.go.
		v.warn(pathMachineKeytab, "DittoFS v0.29.0 does not read the keytab of a machine account, so the domain is not asked for passwords: name a Secret with the password in %s", v.spec.Path(pathMachineSecret))
	}
	if k.NetBIOSDomain == "" {
		v.warn(pathKerberos+".netbiosDomain", "is not set, and without it the domain is not asked for passwords, whatever %s says", v.spec.Path(pathMachine))
	}
}

// principalPattern is that of a service's principal.
var principalPattern = regexp.MustCompile(`^[^/@\s]+/[^/@\s]+(@[^/@\s]+)?$`)

// isHostPort reports whether a is a host name or an address, with a port or without.
func isHostPort(a string) bool {
	host := a
	if h, port, err := net.SplitHostPort(a); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		host = h
	}
	return net.ParseIP(host) != nil || len(validation.IsDNS1123Subdomain(strings.ToLower(host))) == 0
}

// without checks that a value has none of some characters. An empty one has none.
func (v *validator) without(path, value, chars, detail string) {
	if strings.TrimSpace(value) != "" && strings.ContainsAny(value, chars) {
		v.invalid(path, value, detail)
	}
}

// notSwitchedOff refuses an identity provider that is on and was switched off in the
// server, which would otherwise be believed when it is switched off again.
func (v *validator) notSwitchedOff(path string, switchedOff bool) {
	if switchedOff {
		v.forbidden(path+".switchedOff", "is for a provider that is off; remove the field")
	}
}
