// Adders as ripple chains of full adders; where an operand or the carry is constant, gates.
(* techmap_celltype = "$alu" *)
module codesign_alu (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;
  parameter _TECHMAP_CONSTMSK_CI_ = 0;
  parameter _TECHMAP_CONSTVAL_CI_ = 0;
  parameter _TECHMAP_CONSTMSK_BI_ = 0;
  parameter _TECHMAP_CONSTVAL_BI_ = 0;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  input CI, BI;
  output [Y_WIDTH-1:0] X, Y, CO;

  wire [Y_WIDTH-1:0] a, b;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(b));
  wire [Y_WIDTH-1:0] addend = b ^ {Y_WIDTH{BI}};
  wire [Y_WIDTH:0] carry;
  assign carry[0] = CI;
  assign CO = carry[Y_WIDTH:1];
  assign X = a ^ addend;

  // Bits whose carry in is known when this is mapped.
  function [Y_WIDTH:0] known(input integer unused);
    integer i, ka, kb, va, vb, v;
    begin
      known = 0;
      known[0] = _TECHMAP_CONSTMSK_CI_;
      v = _TECHMAP_CONSTVAL_CI_;
      for (i = 0; i < Y_WIDTH; i = i + 1) begin
        ka = i < A_WIDTH ? _TECHMAP_CONSTMSK_A_[i] : !A_SIGNED || _TECHMAP_CONSTMSK_A_[A_WIDTH-1];
        va = i < A_WIDTH ? _TECHMAP_CONSTVAL_A_[i] : A_SIGNED && _TECHMAP_CONSTVAL_A_[A_WIDTH-1];
        kb = (i < B_WIDTH ? _TECHMAP_CONSTMSK_B_[i] : !B_SIGNED || _TECHMAP_CONSTMSK_B_[B_WIDTH-1])
             && _TECHMAP_CONSTMSK_BI_;
        vb = (i < B_WIDTH ? _TECHMAP_CONSTVAL_B_[i] : B_SIGNED && _TECHMAP_CONSTVAL_B_[B_WIDTH-1])
             ^ _TECHMAP_CONSTVAL_BI_;
        if (ka && kb && va == vb) begin
          known[i+1] = 1; v = va;
        end else if (known[i] && ((ka && va == v) || (kb && vb == v))) begin
          known[i+1] = 1;
        end
      end
    end
  endfunction
  localparam [Y_WIDTH:0] KNOWN = known(0);

  genvar i;
  generate
    for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
      localparam KA = i < A_WIDTH ? _TECHMAP_CONSTMSK_A_[i] : !A_SIGNED || _TECHMAP_CONSTMSK_A_[A_WIDTH-1];
      localparam KB = (i < B_WIDTH ? _TECHMAP_CONSTMSK_B_[i] : !B_SIGNED || _TECHMAP_CONSTMSK_B_[B_WIDTH-1])
                      && _TECHMAP_CONSTMSK_BI_;
      if (KA || KB || KNOWN[i]) begin : gates
        assign Y[i] = X[i] ^ carry[i];
        assign carry[i+1] = (a[i] & addend[i]) | (X[i] & carry[i]);
      end else begin : full
        \$fa #(.WIDTH(1)) adder (.A(a[i]), .B(addend[i]), .C(carry[i]), .X(carry[i+1]), .Y(Y[i]));
      end
    end
  endgenerate
endmodule
