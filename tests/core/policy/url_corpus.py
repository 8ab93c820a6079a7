"""URLs and addresses to refuse and to accept, in the spellings of people and programs."""

# ruff: noqa: RUF001  look-alikes are intended here

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from hypothesis import strategies as st

from daemon.core.policy.addresses import FORBIDDEN_V4, FORBIDDEN_V6
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.urls import LONGEST_URL

STRICT = EgressPolicy()
LENIENT = EgressPolicy(allow_http=True, allow_ports=((1, 65535),))


def allowing(*networks: str) -> EgressPolicy:
    return EgressPolicy(
        allow_http=True,
        allow_networks=tuple(ip_network(network) for network in networks),
        allow_ports=((1, 65535),),
    )


# IANA's registries of special-purpose addresses, and the blocks that are refused besides: the first
# and last address of each. Written out, so that a mistake in the code under test is found.
SPECIAL_PURPOSE = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.31.196.0", "192.31.196.255"),
    ("192.52.193.0", "192.52.193.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("192.175.48.0", "192.175.48.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("::", "::1"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
    ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
    ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("4000::", "4000::1"),
]

# Public addresses next to those blocks.
NEIGHBOURS = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0",
    "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0", "192.88.98.255",
    "192.88.100.0", "192.167.255.255", "192.169.0.0", "192.175.47.255", "192.175.49.0",
    "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255",
    "203.0.114.0", "223.255.255.255",
    "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "2606:4700:4700::1111",
    "2620:4f:7fff::", "2620:4f:8001::", "3ffd:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::",
]  # fmt: skip

INSIDE = {
    "mapped": "::ffff:{v4}",
    "mapped, long": "0:0:0:0:0:ffff:{v4}",
    "mapped, in hex": "::ffff:{hex}",
    "compatible": "::{hex}",
    "SIIT": "::ffff:0:{v4}",
    "NAT64": "64:ff9b::{v4}",
    "NAT64, in hex": "64:ff9b::{hex}",
    "6to4": "2002:{hex}::",
    "6to4, with a host": "2002:{hex}:1:2:3:4:5",
    "Teredo's server": "2001:0:{hex}::f7f7:f7f7",
    "Teredo's client": "2001:0:808:808::{flipped}",
    "ISATAP": "2606:4700::5efe:{hex}",
    "ISATAP of a global identifier": "2606:4700::200:5efe:{hex}",
    "ISATAP inside 6to4": "2002:808:808::5efe:{hex}",
}


def embedded(form: str, v4: str) -> str:
    number = int(IPv4Address(v4))
    flipped = number ^ 0xFFFFFFFF
    return INSIDE[form].format(
        v4=v4,
        hex=f"{number >> 16:x}:{number & 0xFFFF:x}",
        flipped=f"{flipped >> 16:x}:{flipped & 0xFFFF:x}",
    )


ipv4 = st.integers(0, 2**32 - 1).map(IPv4Address)
ipv6 = st.integers(0, 2**128 - 1).map(IPv6Address)


def within(network: IPv4Network | IPv6Network) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    return st.integers(0, network.num_addresses - 1).map(lambda n: network[n])


forbidden_v4 = st.sampled_from(FORBIDDEN_V4).flatmap(within).map(str).map(IPv4Address)
forbidden_v6 = st.sampled_from(FORBIDDEN_V6).flatmap(within).map(str).map(IPv6Address)


REFUSED = [
    # not an https URL with a host
    "", " ", "x", "/", "//", "://", "http", "https", "https:", "https:/", "https://",
    "https:///", "https:///path", "https://?", "https://#", "https://:443", "https://:443/",
    "https:example.com", "https:/example.com", "https:///example.com", "//example.com",
    "example.com", "example.com:443", "/path", "?q", "#f", "mailto:a@example.com",
    "ftp://example.com/", "ftps://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "ws://example.com/", "wss://example.com/", "data:text/plain,x", "javascript:alert(1)",
    "dict://example.com:2628/", "ldap://example.com/", "unix:///run/x.sock", "jar:https://a.com!/",
    "http://example.com/", "HTTP://example.com/", "http://example.com:443/",
    "httpſ://example.com/", "https//example.com", "https;//example.com", "hhttps://example.com",
    "https://https://example.com", "url:https://example.com", "-https://example.com",
    # users and passwords
    "https://user@example.com/", "https://user:pass@example.com/", "https://@example.com/",
    "https://:@example.com/", "https://user:@example.com/", "https://a@b@example.com/",
    "https://example.com@127.0.0.1/", "https://example.com:443@127.0.0.1/",
    "https://user@[2606:4700::1111]/", "https://example.com:80@example.com:443/",
    # white space, control characters, backslashes
    " https://example.com/", "https://example.com/ ", "https://exa mple.com/",
    "https://example.com/a b", "https://example.com/\t", "https://exam\tple.com/",
    "https://example.com\n/", "https://example.com/\r\nHost: evil", "\nhttps://example.com/",
    "https://example.com/\x00", "https://example.com\x00.evil.com/", "https://example.com/\x7f",
    "https://example.com/\x1b", "https://example.com/\x85", "https://example.com/\xa0",
    "https://example.com/\u2028", "https://example.com/\u2003", "https://example.com/\u3000",
    "https://example.com\\@evil.com/", "https:\\\\example.com\\", "https://example.com\\evil",
    "https:\\/\\/example.com", "https://example.com/\\", "\\\\example.com",
    "https://example.com/\ud800", "https://\udfff.com/",
    # hosts that are not names
    "https://exa%6dple.com/", "https://%65xample.com/", "https://127.0.0.1%2f.example.com/",
    "https://example.com%00.evil.com/", "https://%31%32%37.0.0.1/", "https://example.com%/",
    "https://.", "https://./", "https://../", "https://.example.com/", "https://example..com/",
    "https://example.com../", "https://example.com.../", "https://com./", "https://-example.com/",
    "https://example-.com/", "https://example.-com/", "https://exa*mple.com/", "https://*/",
    "https://*.example.com/", "https://exam!ple.com/", "https://exam$ple.com/",
    "https://exam'ple.com/", "https://exam(ple.com/", "https://exam,ple.com/",
    "https://exam;ple.com/", "https://exam=ple.com/", "https://exam+ple.com/",
    "https://exam~ple.com/", "https://exam|ple.com/", "https://exam^ple.com/",
    "https://exam`ple.com/", "https://exam{ple}.com/", "https://exam<ple>.com/",
    'https://exam"ple.com/', "https://exam&ple.com/",
    f"https://{'a' * 64}.com/", f"https://{'a.' * 127}com/", f"https://{'a' * 300}/",
    f"https://{'ä' * 64}.com/", f"https://example.com/{'a' * LONGEST_URL}",
    f"https://example.com/?{'a' * LONGEST_URL}", f"https://example.com/#{'a' * LONGEST_URL}",
    # fragments
    "https://example.com#", "https://example.com#part", "https://example.com/#a@b",
    "https://example.com/?x=1#part", "https://example.com/a#/b?c",
    "https://xn--a\xe4.com/", "https://\u00ad/", "https://\u200b/", "https://\u202e.com/",
    "https://a\u0338.\u0338com/",
    # ports
    "https://example.com:", "https://example.com:/", "https://example.com:80/",
    "https://example.com:22/", "https://example.com:25/", "https://example.com:6379/",
    "https://example.com:0/", "https://example.com:-1/", "https://example.com:+443/",
    "https://example.com:65536/", "https://example.com:65979/", "https://example.com:4294967739/",
    "https://example.com:443443/", "https://example.com:000443/", "https://example.com:0x1bb/",
    "https://example.com:443a/", "https://example.com:4 43/", "https://example.com:https/",
    "https://example.com:443:443/", "https://example.com:٤٤٣/", "https://example.com:４４３/",
    "https://example.com:44³/", "https://example.com:8444/", "https://example.com:442/",
    # IPv4 in every spelling but its own
    "https://0/", "https://1/", "https://127.1/", "https://127.0.1/", "https://127.0.0.1./",
    "https://2130706433/", "https://0x7f000001/", "https://0X7F000001/", "https://017700000001/",
    "https://0x7f.1/", "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://0177.0.0.01/",
    "https://127.0.0.01/", "https://127.00.0.1/", "https://127.0.0.0x1/", "https://0x/",
    "https://127.0.0.0x/", "https://1.2.3.4.5/", "https://1.2.3/", "https://8.8/", "https://8/",
    "https://134744072/", "https://0x08080808/", "https://010.010.010.010/", "https://8.8.8.08/",
    "https://256.256.256.256/", "https://8.8.8.256/", "https://8.8.8.999/", "https://8.8.8.-8/",
    "https://8.8.8.8./", "https://8..8.8/", "https://.8.8.8.8/", "https://8.8.8./",
    "https://8.8.8.8.8/", "https://4294967296/", "https://99999999999999999999/",
    "https://example.123/", "https://example.0x1/", "https://a.b.c.1/", "https://0000127.0.0.1/",
    # digits and dots of Unicode
    "https://①②⑦.⓪.⓪.①/", "https://１２７.０.０.１/", "https://127。0。0。1/", "https://127．0．0．1/",
    "https://127｡0｡0｡1/", "https://𝟏𝟐𝟕.𝟎.𝟎.𝟏/", "https://𝟙27.0.0.1/", "https://¹²⁷.⁰.⁰.¹/",
    "https://₁₂₇.₀.₀.₁/", "https://8。8。8。8/", "https://8．8．8．8/", "https://⑧.⑧.⑧.⑧/",
    "https://８.8.8.8/", "https://8.8.8.8\u00ad/", "https://8.8.8\u00ad.8/", "https://8\u200b.8.8.8/",
    "https://⒈2.3.4/", "https://1⒉3.4/", "https://example。com/", "https://example．com/",
    "https://example｡com/", "https://ex①mple.com/", "https://½.com/", "https://٣.0x1/",
    "https://127.0.0.１/", "https://①/", "https://２１３０７０６４３３/", "https://①.①/",
    # Unicode look-alikes of URL delimiters
    "https://example.com／path/", "https://exam？ple.com/", "https://exam＃ple.com/",
    "https://a＠example.com/", "https://example.com：443/", "https://exam％61ple.com/",
    "https://exam℀ple.com/", "https://［::1］/", "https://example℡。com/",
    # forbidden addresses in their own spelling
    "https://127.0.0.1/", "https://127.0.0.1:443/", "https://127.1.2.3/", "https://0.0.0.0/",
    "https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.0.1/", "https://169.254.169.254/",
    "https://100.100.100.200/", "https://192.0.0.192/", "https://168.63.129.16/",
    "https://224.0.0.1/", "https://255.255.255.255/", "https://240.0.0.1/",
    "https://localhost/", "https://LOCALHOST/", "https://LocalHost:8443/", "https://a.localhost/",
    "https://localhost./", "https://ｌｏｃａｌｈｏｓｔ/", "https://loc\u00adalhost/", "https://ⓛocalhost/",
    # IPv4 as IPv6, though it is public
    "https://[::ffff:8.8.8.8]/", "https://[::ffff:808:808]/", "https://[::8.8.8.8]/",
    "https://[::ffff:0:8.8.8.8]/", "https://[64:ff9b::8.8.8.8]/", "https://[2002:808:808::1]/",
    "https://[2001:0:808:808::f7f7:f7f7]/",
    # IPv6 in brackets
    "https://[]/", "https://[/", "https://]/", "https://[::/", "https://::1/", "https://::1]/",
    "https://[::1/", "https://[::]/", "https://[::1]/", "https://[::1]:443/", "https://[0::1]/",
    "https://[0:0:0:0:0:0:0:1]/", "https://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "https://[::127.0.0.1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[::FFFF:127.0.0.1]/", "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/", "https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::8.8.8.8]/", "https://[2002:7f00:1::]/", "https://[2002:a9fe:a9fe::]/",
    "https://[2001:0:7f00:1::]/", "https://[2001::80ff:fffe]/", "https://[2606::5efe:7f00:1]/",
    "https://[2606::200:5efe:127.0.0.1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/", "https://[2606:4700::1111%251]/", "https://[2606:4700::1111%1]/",
    "https://[fc00::1]/", "https://[fd00:ec2::254]/", "https://[fec0::1]/", "https://[ff02::1]/",
    "https://[100::1]/", "https://[2001:db8::1]/", "https://[3fff::1]/", "https://[3ffe::1]/", "https://[3ffe:ffff::]/",
    "https://[5f00::1]/",
    "https://[4000::1]/", "https://[1::1]/", "https://[2001:2::1]/", "https://[2620:4f:8000::1]/",
    "https://[::ffff:0177.0.0.1]/", "https://[::ffff:127.1]/", "https://[::ffff:1.2.3.256]/",
    "https://[8.8.8.8]/", "https://[127.0.0.1]/", "https://[localhost]/", "https://[example.com]/",
    "https://[v1.fe80]/", "https://[vF.127.0.0.1]/", "https://[[::1]]/", "https://[::1]a/",
    "https://a[::1]/", "https://[::1].com/", "https://[::1]]/", "https://[2606:4700::1111]8443/",
    "https://[2606:4700::1111]:/", "https://[2606:4700::1111]:80/", "https://[:::1]/",
    "https://[1:2:3:4:5:6:7]/", "https://[1:2:3:4:5:6:7:8:9]/", "https://[2606::4700::1]/",
    "https://[2606:4700::g]/", "https://[2606:4700::11111]/", "https://[２606::1]/",
    "https://[2606:4700::1111 ]/", "https://[ 2606:4700::1111]/", "https://[2606:4700::1111/]/",
    "https://[::%31]/", "https://[%3a%3a1]/", "https://[2606:4700::1111]@a/",
]  # fmt: skip

ACCEPTED = {
    "https://example.com": "example.com",
    "https://example.com/": "example.com",
    "https://example.com./": "example.com",
    "https://Example.COM.:8443/": "example.com",
    "https://bücher.example./": "xn--bcher-kva.example",
    "https://EXAMPLE.com/": "example.com",
    "HTTPS://Example.COM/Path": "example.com",
    "hTTps://example.com": "example.com",
    "https://example.com:443": "example.com",
    "https://example.com:443/": "example.com",
    "https://example.com:0443/": "example.com",
    "https://example.com:8443/hooks": "example.com",
    "https://example.com?x=1": "example.com",
    "https://example.com:443?x": "example.com",
    "https://example.com/@user": "example.com",
    "https://example.com?u=a@b": "example.com",
    "https://example.com/a:b@c": "example.com",
    "https://example.com/https://127.0.0.1/": "example.com",
    "https://example.com/%0d%0aHost:%20evil": "example.com",
    "https://example.com/a/../b": "example.com",
    "https://example.com//a": "example.com",
    "https://example.com/é?ü=ß": "example.com",
    "https://example.com/[x]": "example.com",
    "https://example.com/?a[]=1": "example.com",
    "https://sub.domain.example.co.uk/": "sub.domain.example.co.uk",
    "https://a-b.example.com/": "a-b.example.com",
    "https://a--b.example.com/": "a--b.example.com",
    "https://under_score.example.com/": "under_score.example.com",
    "https://_dmarc.example.com/": "_dmarc.example.com",
    "https://1.example.com/": "1.example.com",
    "https://123.com/": "123.com",
    "https://1e100.net/": "1e100.net",
    "https://0x7f.com/": "0x7f.com",
    "https://127.0.0.1.example.com/": "127.0.0.1.example.com",
    "https://127.0.0.1.nip.io/": "127.0.0.1.nip.io",  # refused when it is looked up
    "https://localhost.example.com/": "localhost.example.com",
    f"https://{'a' * 63}.com/": "a" * 63 + ".com",
    f"https://{'a.' * 125}com/": "a." * 125 + "com",
    f"https://{'a.' * 125}com./": "a." * 125 + "com",
    f"https://example.com/{'a' * (LONGEST_URL - 20)}": "example.com",
    "https://bücher.example/": "xn--bcher-kva.example",
    "https://BÜCHER.example/": "xn--bcher-kva.example",
    "https://straße.de/": "xn--strae-oqa.de",
    "https://例え.jp/": "xn--r8jz45g.jp",
    "https://пример.рф/": "xn--e1afmkfd.xn--p1ai",
    "https://مثال.إختبار/": "xn--mgbh0fb.xn--kgbechtv",
    "https://xn--bcher-kva.example/": "xn--bcher-kva.example",
    "https://XN--BCHER-KVA.example/": "xn--bcher-kva.example",
    "https://8.8.8.8/": "8.8.8.8",
    "https://1.1.1.1:8443/": "1.1.1.1",
    "https://93.184.216.34": "93.184.216.34",
    "https://223.255.255.255/": "223.255.255.255",
    "https://[2606:4700:4700::1111]/": "2606:4700:4700::1111",
    "https://[2606:4700:4700:0:0:0:0:1111]:8443/": "2606:4700:4700::1111",
    "https://[2A00:1450:4001:80B::200E]": "2a00:1450:4001:80b::200e",
}
