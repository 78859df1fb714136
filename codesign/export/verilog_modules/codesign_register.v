// One word of registers, loaded at every rising edge; no reset.
//
// With TRIPLICATED = 1 it is held in three copies and read through a majority vote, so that the upset of
// any one bit does not reach `value`. A word that is to be kept is fed back: `next` is then made from the
// voted `value`, which mends the upset copy at the next edge.
module codesign_register #(
    parameter WIDTH = 8,
    parameter TRIPLICATED = 0
) (
    input  wire             clock,
    input  wire [WIDTH-1:0] next,
    output wire [WIDTH-1:0] value
);
  generate
    if (TRIPLICATED != 0) begin : voted
      wire [WIDTH-1:0] a;
      wire [WIDTH-1:0] b;
      wire [WIDTH-1:0] c;
      (* keep, dont_touch = "true" *)
      codesign_copy #(.WIDTH(WIDTH)) copy_a (.clock(clock), .next(next), .value(a));
      (* keep, dont_touch = "true" *)
      codesign_copy #(.WIDTH(WIDTH)) copy_b (.clock(clock), .next(next), .value(b));
      (* keep, dont_touch = "true" *)
      codesign_copy #(.WIDTH(WIDTH)) copy_c (.clock(clock), .next(next), .value(c));
      assign value = (a & b) | (b & c) | (c & a);
    end else begin : single
      reg [WIDTH-1:0] state;
      always @(posedge clock) state <= next;
      assign value = state;
    end
  endgenerate
endmodule
