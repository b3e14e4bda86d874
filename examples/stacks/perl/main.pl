# Answers every request with a greeting.
use strict;
use warnings;
use IO::Socket::INET;

# A visitor who leaves before the answer is no reason to end.
$SIG{PIPE} = 'IGNORE';

my $server = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 16, ReuseAddr => 1) or die "no port: $!";
my $text = "hello from perl\n";
while (my $client = $server->accept) {
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    print $client "HTTP/1.1 200 OK\r\nContent-Length: " . length($text) . "\r\nConnection: close\r\n\r\n$text";
    close $client;
}
