// Full adders a bit each; with a constant input, gates.
(* techmap_celltype = "$fa" *)
module codesign_full_adders (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  wire [1023:0] _TECHMAP_FAIL_ = WIDTH == 1 && !(_TECHMAP_CONSTMSK_A_ || _TECHMAP_CONSTMSK_B_ || _TECHMAP_CONSTMSK_C_);
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : bits
      if (_TECHMAP_CONSTMSK_A_[i] || _TECHMAP_CONSTMSK_B_[i] || _TECHMAP_CONSTMSK_C_[i]) begin : gates
        assign Y[i] = A[i] ^ B[i] ^ C[i];
        assign X[i] = (A[i] & B[i]) | (C[i] & (A[i] ^ B[i]));
      end else begin : full
        \$fa #(.WIDTH(1)) adder (.A(A[i]), .B(B[i]), .C(C[i]), .X(X[i]), .Y(Y[i]));
      end
    end
  endgenerate
endmodule
