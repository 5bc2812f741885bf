# Tells SyTest how to make a Parley server: select it with `-I Parley`.

use strict;
use warnings;

require SyTest::Homeserver::Parley;

package SyTest::HomeserverFactory::Parley;
use base qw( SyTest::HomeserverFactory );

sub _init
{
   my $self = shift;

   $self->{parley} = {
      node => $ENV{PARLEY_NODE} // "node",
      root => $ENV{PARLEY_ROOT} // ".",
   };

   $self->SUPER::_init( @_ );
}

# A few tests are marked for named implementations only. "dendrite" selects the
# widest set that a server which is neither can meaningfully run.
sub implementation_name { "dendrite" }

sub get_options
{
   my $self = shift;

   return (
      "parley-root=s" => \$self->{parley}{root},
      "node=s"        => \$self->{parley}{node},
      $self->SUPER::get_options,
   );
}

sub print_usage
{
   print STDERR <<'USAGE';
       --parley-root DIR        - the Parley checkout, already built
       --node PATH              - the node binary to run it with
USAGE
}

sub create_server
{
   my $self = shift;
   my %params = @_;

   return SyTest::Homeserver::Parley->new( %params, %{ $self->{parley} } );
}

1;
