#!/bin/sh
# Builds the deb and the rpm of one architecture.
#
#   packaging/build.sh ARCH PROGRAM OUTDIR
#
# ARCH is Go's name of it. PROGRAM is built already. Nothing depends on this
# machine's architecture, on its clock or on who builds: the same commit gives the
# same bytes. Environment: VERSION (packaging/version.sh), SOURCE_DATE_EPOCH,
# GO, MAINTAINER.
set -eu
umask 022
export LC_ALL=C TZ=UTC

arch=$1 program=$2 out=$3
: "${VERSION:?}" "${SOURCE_DATE_EPOCH:?}" "${GO:=go}"
export SOURCE_DATE_EPOCH
cd "$(dirname "$0")/.."
# Whoever hands the packages on to others puts a name and an address here.
maintainer=${MAINTAINER:-audisp-history maintainers <maintainers@audisp-history.invalid>}

need() {
	command -v "$1" >/dev/null || {
		echo "$0: there is no $1: apt-get install $2" >&2
		exit 1
	}
}
need dpkg-deb dpkg
need rpmbuild rpm
need checkmodule checkpolicy
need semodule_package semodule-utils
need m4 m4
[ -e /usr/share/selinux/devel/Makefile ] || need /usr/share/selinux/devel/Makefile selinux-policy-dev

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
out=$(cd "$out" && pwd)

# put MODE SOURCE DESTINATION: a file into the tree.
put() {
	install -D -m "$1" "$2" "$tree/$3"
}

# squeeze SOURCE DESTINATION: compressed, without a time in it.
squeeze() {
	install -d "$tree/${2%/*}"
	gzip -9nc "$1" >"$tree/$2"
}

# put_tree fills $tree with what both packages have.
put_tree() {
	put 0750 "$program" usr/sbin/audisp-history
	put 0640 packaging/plugins.d/history.conf etc/audit/plugins.d/history.conf
	put 0640 packaging/audisp-history.yaml etc/audit/audisp-history.yaml
	install -d "$tree/etc/audit/rules.d"
	$GO run -buildvcs=false ./packaging/rulesfor "$arch" "$tree/etc/audit/rules.d" >/dev/null
	chmod 0750 "$tree/etc/audit" "$tree/etc/audit/plugins.d" "$tree/etc/audit/rules.d"
	put 0644 packaging/logrotate/audisp-history etc/logrotate.d/audisp-history
	put 0644 packaging/tmpfiles.d/audisp-history.conf usr/lib/tmpfiles.d/audisp-history.conf
	put 0644 packaging/completion/audisp-history.bash usr/share/bash-completion/completions/audisp-history
	put 0644 packaging/completion/audisp-history.fish usr/share/fish/vendor_completions.d/audisp-history.fish
	for page in packaging/man/*.[0-9].md; do
		name=$(basename "$page" .md)
		packaging/man/page.sh "$page" >"$work/$name"
		squeeze "$work/$name" "usr/share/man/man${name##*.}/$name.gz"
	done
	put_policy
	for example in packaging/rsyslog/* packaging/journald/*; do
		[ ! -f "$example" ] || put 0644 "$example" "usr/share/doc/audisp-history/examples/${example#packaging/}"
	done
	for part in packaging/dracut/*/*; do
		[ ! -f "$part" ] || put 0755 "$part" "usr/lib/dracut/modules.d/${part#packaging/dracut/}"
	done
	[ ! -f packaging/early-boot ] || put 0755 packaging/early-boot usr/share/audisp-history/early-boot
	put 0644 enrich/jsonl/schema.json usr/share/audisp-history/schema.json
	squeeze CHANGELOG.md usr/share/doc/audisp-history/changelog.gz
	put 0644 README.md usr/share/doc/audisp-history/README.md
}

put_policy() {
	mkdir -p "$work/selinux"
	cp packaging/selinux/audisp_history.?? "$work/selinux"
	make -s -C "$work/selinux" -f /usr/share/selinux/devel/Makefile audisp_history.pp >/dev/null
	for f in audisp_history.pp audisp_history.te audisp_history.fc audisp_history.if; do
		put 0644 "$work/selinux/$f" "usr/share/selinux/packages/audisp-history/$f"
	done
	put 0644 packaging/selinux/README "usr/share/selinux/packages/audisp-history/README"
}

# script NAME PART...: the text of a maintainer script.
script() {
	echo '#!/bin/sh'
	echo 'set -e'
	cat packaging/scripts/system.sh "$@"
}

build_deb() {
	tree=$work/deb
	put_tree
	put 0644 packaging/completion/_audisp-history usr/share/zsh/vendor-completions/_audisp-history
	for part in packaging/initramfs-tools/hooks/* packaging/initramfs-tools/scripts/*/*; do
		[ ! -f "$part" ] || put 0755 "$part" "usr/share/${part#packaging/}"
	done
	put 0644 packaging/deb/copyright usr/share/doc/audisp-history/copyright
	put 0644 packaging/deb/lintian-overrides usr/share/lintian/overrides/audisp-history
	cat >"$work/changelog" <<-END
		audisp-history ($VERSION-1) unstable; urgency=medium

		  * What has changed is in changelog.gz.

		 -- $maintainer  $(date -R -d "@$SOURCE_DATE_EPOCH")
	END
	squeeze "$work/changelog" usr/share/doc/audisp-history/changelog.Debian.gz

	control=$tree/DEBIAN
	mkdir "$control"
	size=$(du -k --apparent-size -s "$tree" | cut -f1)
	sed -e "s/@VERSION@/$VERSION-1/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@MAINTAINER@/$maintainer/" \
		packaging/deb/control >"$control/control"
	for name in preinst postinst prerm postrm; do
		script packaging/deb/aside.sh "packaging/deb/$name" >"$control/$name"
	done
	chmod 0755 "$control"/p*
	(cd "$tree" && find etc -type f | sort | sed 's|^|/|' >DEBIAN/conffiles)
	(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | sort |
		xargs -d '\n' md5sum >DEBIAN/md5sums)
	find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/audisp-history_$VERSION-1_$arch.deb" >/dev/null
}

build_rpm() {
	tree=$work/rpm
	put_tree
	put 0644 packaging/completion/_audisp-history usr/share/zsh/site-functions/_audisp-history
	put 0644 LICENSE usr/share/licenses/audisp-history/LICENSE
	case $arch in
	amd64) target=x86_64 ;;
	arm64) target=aarch64 ;;
	*) target=$arch ;;
	esac
	for name in post preun postun; do
		script "packaging/rpm/$name" | tail -n +2 >"$work/$name"
	done
	# The list of files is what is in the tree; directories that are its own alone
	# are named in the spec.
	(cd "$tree" && find . -type f -printf '%m /%P\n' | sort -k2 | while read -r mode name; do
		case $name in
		/etc/*) kind='%config(noreplace) ' ;;
		/usr/share/doc/* | /usr/share/man/*) kind='%doc ' ;;
		/usr/share/licenses/*) kind='%license ' ;;
		*) kind= ;;
		esac
		printf '%s%%attr(0%s, root, root) %s\n' "$kind" "$mode" "$name"
	done) >"$work/files"
	sed -e "s/@VERSION@/$VERSION/" -e "s/@DATE@/$(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')/" \
		-e "s/@MAINTAINER@/$maintainer/" \
		-e "/@POST@/{
			r $work/post
			d
		}" -e "/@PREUN@/{
			r $work/preun
			d
		}" -e "/@POSTUN@/{
			r $work/postun
			d
		}" packaging/rpm/audisp-history.spec >"$work/audisp-history.spec"
	find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	rpmbuild --quiet -bb --target "$target-unknown-linux" --buildroot "$work/root" \
		--define "packager $maintainer" --define "_topdir $work/top" --define "_rpmdir $work" --define "_build_name_fmt audisp-history.rpm" \
		--define "staged $tree" --define "list $work/files" "$work/audisp-history.spec" >"$work/rpmbuild" 2>&1 || {
		cat "$work/rpmbuild" >&2
		exit 1
	}
	mv "$work/audisp-history.rpm" "$out/audisp-history-$VERSION-1.$target.rpm"
}

build_deb
build_rpm
