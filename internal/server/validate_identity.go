package server

import (
	"cmp"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/dittofs/function-dittoserver/api/v1alpha1"
	"github.com/dittofs/function-dittoserver/internal/record"
)

// Where Secrets of identity providers are mounted, which the server remembers. All
// but the first are the DittoFS operator's.
const (
	LDAPCAFile        = "/ldap-ca/ca.crt"
	KeytabFile        = "/kerberos/dittofs.keytab"
	Krb5ConfFile      = "/kerberos-krb5/krb5.conf"
	MachineKeytabFile = "/kerberos-machine/machine.keytab"
	// OwnKrb5ConfFile is the function's own, beside config.yaml.
	OwnKrb5ConfFile = "/config/krb5.conf"
)

const (
	pathLDAP         = "identity.ldap"
	pathBindPassword = pathLDAP + ".bindPasswordSecretRef"
	pathLDAPCA       = pathLDAP + ".caCertSecretRef"
)

// LDAP is how the server asks a directory for users and groups.
type LDAP struct {
	Enabled            bool
	URL                string
	StartTLS           bool
	AllowPlaintext     bool
	BaseDN             string
	BindDN             string
	UserAttr           string
	Realm              string
	Idmap              string
	NestedGroups       bool
	CACertFile         string
	InsecureSkipVerify bool

	// BindPassword is the password of BindDN, CA the authorities of the directory's
	// certificate; the zero SecretKey for those of CACertFile or the image.
	BindPassword record.SecretKey
	CA           record.SecretKey
}

// Port returns the port of the directory, which the URL tells, else its scheme.
func (l LDAP) Port() int32 {
	u, err := url.Parse(l.URL)
	if err != nil {
		return defaultLDAPPort
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && port > 0 {
		return int32(port)
	}
	if strings.EqualFold(u.Scheme, "ldaps") {
		return defaultLDAPSPort
	}
	return defaultLDAPPort
}

const (
	defaultLDAPPort  = 389
	defaultLDAPSPort = 636
)

// Config returns the section of config.yaml, whose names are those of the REST API.
// Source: dittofs v0.29.0 pkg/identity/ldap/config.go.
func (l LDAP) Config() map[string]any {
	tls := map[string]any{"insecure_skip_verify": l.InsecureSkipVerify}
	switch {
	case l.CA != record.SecretKey{}:
		tls["ca_cert_file"] = LDAPCAFile
	case l.CACertFile != "":
		tls["ca_cert_file"] = l.CACertFile
	}
	out := map[string]any{
		"enabled": true, "url": l.URL, "start_tls": l.StartTLS, "allow_plaintext": l.AllowPlaintext,
		"base_dn": l.BaseDN, "bind_dn": l.BindDN, "user_attr": l.UserAttr, "idmap": l.Idmap, "nested_groups": l.NestedGroups,
		"tls": tls,
	}
	if l.Realm != "" {
		out["realm"] = l.Realm
	}
	return out
}

// Attribute names as LDAP has them. Source: RFC 4512, descr.
var ldapAttrPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// ldap decides how a directory is asked. What is wrong in a block that is switched
// off is not told.
func (v *validator) ldap() {
	spec := or(or(v.spec.Identity, v1alpha1.IdentityConfig{}).LDAP, v1alpha1.LDAPConfig{})
	if !spec.Enabled {
		return
	}
	v.notSwitchedOff(pathLDAP, spec.SwitchedOff)
	l := LDAP{
		Enabled: true, URL: strings.TrimSpace(spec.URL), StartTLS: spec.StartTLS, AllowPlaintext: spec.AllowPlaintext,
		BaseDN: spec.BaseDN, BindDN: spec.BindDN, Realm: spec.Realm, NestedGroups: spec.NestedGroups,
		UserAttr: cmp.Or(spec.UserAttr, defaultUserAttr), Idmap: cmp.Or(spec.Idmap, defaultIdmap),
		CACertFile: spec.CACertFile, InsecureSkipVerify: spec.InsecureSkipVerify,
	}
	v.ldapURL(l)
	v.notBlank(pathLDAP+".baseDN", l.BaseDN, "where searches begin, such as DC=example,DC=com")
	v.notBlank(pathLDAP+".bindDN", l.BindDN, "the account that the server searches as")
	if !ldapAttrPattern.MatchString(l.UserAttr) {
		v.invalid(pathLDAP+".userAttr", l.UserAttr, "must be the name of an LDAP attribute, such as "+defaultUserAttr)
	}
	v.oneOf(pathLDAP+".idmap", l.Idmap, "rfc2307", "rid")
	if spec.BindPasswordSecretRef == nil {
		v.required(pathBindPassword, "the Secret with the password of the account: without one the directory would be asked anonymously")
	} else {
		l.BindPassword = v.secretRef(pathBindPassword, spec.BindPasswordSecretRef, "")
	}
	if spec.CACertSecretRef != nil {
		l.CA = v.secretRef(pathLDAPCA, spec.CACertSecretRef, "ca.crt")
	}
	v.s.LDAP = l
}

// ldapURL checks the URL as the server does.
// Source: dittofs v0.29.0 pkg/identity/ldap/config.go, Validate.
func (v *validator) ldapURL(l LDAP) {
	const path = pathLDAP + ".url"
	scheme, host, _ := strings.Cut(strings.ToLower(l.URL), "://")
	switch {
	case l.URL == "":
		v.required(path, "the URL of the directory, such as ldaps://dc.example.com")
	case scheme != "ldap" && scheme != "ldaps" || host == "":
		v.invalid(path, l.URL, "must begin with ldaps:// or ldap://, and name a host")
	case scheme == "ldap" && !l.StartTLS && !l.AllowPlaintext:
		v.invalid(path, l.URL, "would show the password to everybody on the way: use ldaps://, or set startTLS, or, in a lab, allowPlaintext")
	case scheme == "ldap" && !l.StartTLS:
		v.warn(pathLDAP+".allowPlaintext", "the password of %s is sent unencrypted", l.BindDN)
	}
	if l.InsecureSkipVerify {
		v.warn(pathLDAP+".insecureSkipVerify", "whoever can stand in for the directory decides who a user is")
	}
}

func (v *validator) notBlank(path, value, what string) {
	if strings.TrimSpace(value) == "" {
		v.required(path, what)
	}
}
