// One of the three copies of a word. Its own module, kept as such, so that no tool merges the copies:
// what synthesis must do about it is in README.md.
(* keep_hierarchy = "yes", dont_touch = "true" *)
module codesign_copy #(
    parameter WIDTH = 8
) (
    input  wire             clock,
    input  wire [WIDTH-1:0] next,
    output wire [WIDTH-1:0] value
);
  reg [WIDTH-1:0] state;
  always @(posedge clock) state <= next;
  assign value = state;
endmodule
